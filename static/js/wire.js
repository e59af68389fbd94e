// Every name that crosses the websocket, once in JavaScript. workspace/wire.py is its twin; a test compares them.

export const ASK = Object.freeze({
  OPEN: "open",
  SEND: "send",
  RETRY: "retry",
  CONTINUE: "continue",
  STOP: "stop",
  SUGGEST: "suggest",
});

export const TELL = Object.freeze({
  OPENED: "opened",
  ACCESS: "access",
  STARTED: "started",
  STEP: "step",
  EVIDENCE: "evidence",
  DECISION: "decision",
  FAILING: "failing",
  REASONING: "reasoning",
  DELTA: "delta",
  BLOCK: "block",
  SETTLED: "settled",
  SUGGESTION: "suggestion",
  LANDED: "landed",
  REFUSED: "refused",
});
