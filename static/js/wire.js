// Every name that crosses the websocket, once in JavaScript. workspace/wire.py is its twin; a test compares them.

export const ASK = Object.freeze({
  OPEN: "open",
  SEND: "send",
  COMPARE: "compare",
  FUSE: "fuse",
  LANE: "lane",
  RETRY: "retry",
  CONTINUE: "continue",
  STOP: "stop",
  SUGGEST: "suggest",
});

export const TELL = Object.freeze({
  OPENED: "opened",
  ACCESS: "access",
  STARTED: "started",
  COMPARED: "compared",
  VOTED: "voted",
  STEP: "step",
  EVIDENCE: "evidence",
  DECISION: "decision",
  FAILING: "failing",
  REASONING: "reasoning",
  DELTA: "delta",
  BLOCK: "block",
  SETTLED: "settled",
  SUGGESTION: "suggestion",
  CHANGED: "changed",
  MOVED: "moved",
  LANDED: "landed",
  REFUSED: "refused",
});
