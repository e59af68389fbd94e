"""Traps of the wire, each with what holds it: recorded cases (PROTOCOL/NAME) or tests (FILE::NAME, below tests/).

A trap that nothing holds has no line here. ``NOT_OURS`` are those that concern what we don't send: tools.
"""

from __future__ import annotations

CHAT, RESPONSES, MESSAGES, GENERATED = "openai_compatible/", "openai_responses/", "anthropic/", "gemini/"
SSE = "providers/test_sse.py::test_events_are_the_same_whatever_the_pieces"
PIECES = "conformance/test_recorded.py::test_a_recorded_answer_means_what_it_should_in_any_pieces"
HINTS = "providers/test_connection_words.py::test_a_retry_hint_is_read_in_every_form_and_capped"
SAMPLING = "providers/test_quirks.py::test_sampling_goes_only_where_a_model_takes_it"
CLAUDE = "providers/test_quirks.py::test_claude_thinks_in_the_measure_its_model_takes"
AGAIN = "providers/test_quirks.py::test_what_a_server_names_as_refused_is_left_out_once"
UNSENT = "providers/test_quirks.py::test_no_reasoning_of_an_earlier_answer_is_sent_back"
CODES = "providers/test_failures.py::test_a_refusal_has_one_of_our_codes"
TYPES = "providers/test_official_types.py::test_a_request_is_one_of_the_official_types_and_its_answer_is_heard_whole"

TRAPS: dict[str, tuple[str, ...]] = {
    # The transport and its events
    "other line separators inside JSON end no line": (
        CHAT + "u2028-inside-content",
        CHAT + "nel-inside-content",
        MESSAGES + "u2028-inside-text-delta",
        GENERATED + "u2028-inside-text-part",
        RESPONSES + "u2028-inside-text-delta",
        SSE,
    ),
    "characters are cut between pieces": (
        PIECES,
        "conformance/test_fuzz.py::test_cuts_inside_characters_change_nothing",
    ),
    "an event may be larger than a megabyte": (
        "conformance/test_fuzz.py::test_a_mutated_stream_loses_no_word_before_the_fault",
    ),
    "CRLF, no space after data, no event name or a strange one": (CHAT + "perplexity-sonar-citations-crlf", SSE),
    "comments and blank lines keep a connection alive and say nothing": (
        CHAT + "deepseek-keep-alive-comments-composed",
        CHAT + "openrouter-gemini-2.0-flash-keepalives",
        CHAT + "perplexity-sonar-reasoning-pro-crlf-ping",
        CHAT + "openrouter-json-leading-whitespace-tool-call",
        "providers/test_failures.py::test_silence_ends_at_its_deadline",
    ),
    "the end marker is not the end": (
        CHAT + "gpustack-qwen3-reasoning-no-done-marker",
        CHAT + "openai-stream-cut-mid-frame",
        MESSAGES + "stream-ends-without-message_stop",
        "providers/test_failures.py::test_an_end_without_a_reason_keeps_the_words_and_says_that_it_was_cut",
    ),
    "an error inside a stream comes in many shapes and keeps the text": (
        MESSAGES + "overloaded-after-text",
        CHAT + "groq-error-event-after-text",
        CHAT + "openrouter-error-in-chunk-after-reasoning",
        CHAT + "gpustack-llama-box-error-field-after-text",
        GENERATED + "503-inside-stream-after-text",
        RESPONSES + "rate-limit-error-event-after-text",
    ),
    "an error may be a page or words": (
        CHAT + "openai-502-cloudflare-html",
        GENERATED + "vertex-404-html-firebase",
        CODES,
    ),
    "hints when to retry come in headers, details and words, and are capped": (
        CHAT + "azure-429-retry-after-header",
        CHAT + "groq-429-try-again-in",
        GENERATED + "429-retry-info-short",
        HINTS,
        "providers/test_connection_words.py::test_a_date_to_retry_after_is_read_as_the_time_until_then",
    ),
    "a 429 or 402 may be for good": (CHAT + "openai-429-insufficient-quota", CHAT + "openrouter-402-credits", CODES),
    "nothing is tried again after the first word": ("faults/test_random_runs.py::test_no_word_is_lost_or_said_twice",),
    # Chat completions
    "choices, delta and its fields may be empty, null or missing": (
        CHAT + "azure-gpt-4o-mini-prompt-filter-no-delta-chunk",
    ),
    "the first chunk may name no model": (CHAT + "azure-gpt-35-prompt-filter-first-chunk",),
    "content may be a list": (CHAT + "mistral-small-thinking-content-list", CHAT + "mistral-json-content-list"),
    "the whole answer may be repeated beside its delta": (CHAT + "perplexity-sonar-citations-crlf-long",),
    "unknown fields pass": (
        CHAT + "groq-gpt-oss-tool-call-channel-field",
        CHAT + "openai-gpt-5-moderation-chunk-after-usage",
    ),
    "several choices come interleaved": (CHAT + "openai-gpt-3.5-two-choices-interleaved",),
    "reasoning has many names and is read once": (
        CHAT + "deepseek-v4-pro-reasoning_content",
        CHAT + "ollama-cloud-gpt-oss-reasoning",
        CHAT + "openrouter-o3-encrypted-reasoning",
        CHAT + "openrouter-claude-sonnet-4.5-reasoning-and-details",
        CHAT + "snowflake-claude-reasoning_details-no-finish-reason",
    ),
    "think tags stand at the start, cut anywhere, and may stay open": (
        CHAT + "huggingface-deepseek-r1-think-tags",
        CHAT + "huggingface-deepseek-r1-think-cut-by-length",
    ),
    "reasoning goes back to who asks for it alone": (
        UNSENT,
        "providers/test_quirks.py::test_deepseek_gets_a_field_for_reasoning_only_when_it_asks",
        "providers/test_quirks.py::test_mistral_is_sent_no_strangers",
    ),
    "two tool calls under one index, or under none": (
        CHAT + "ollama-two-calls-both-index-0",
        CHAT + "google-openai-endpoint-tool-call-without-id",
    ),
    "a call's name, id and arguments come late, whole, in splinters or not at all": (
        CHAT + "openai-gpt-4o-tool-call-args-split",
        CHAT + "mistral-small-tool-call-whole-args",
        CHAT + "openrouter-claude-haiku-tool-no-args-empty-string",
    ),
    "the finish reason does not say whether there are calls": (CHAT + "openrouter-kimi-k2-tool-call-no-finish-reason",),
    "an old or empty function_call": (
        CHAT + "openai-gpt-3.5-legacy-function_call-joke-json",
        CHAT + "snowflake-llama-empty-function_call-object",
    ),
    "finish reasons are an open set": (
        CHAT + "snowflake-claude-no-finish-reason",
        CHAT + "gpt-4-vision-finish_details-instead-of-finish_reason",
        CHAT + "together-json",
    ),
    "usage may be absent, last, on the finish, elsewhere, or repeated": (
        CHAT + "openai-gpt-4.1-text-without-usage",
        CHAT + "openai-gpt-4-text-usage-in-empty-choices-chunk",
        CHAT + "litellm-proxy-usage-on-finish-chunk",
        CHAT + "groq-llama3-usage-only-in-x_groq",
        CHAT + "openai-gpt-4o-usage-null-until-last",
        CHAT + "openai-gpt-5-moderation-chunk-after-usage",
    ),
    "the field that asks for usage may be refused": (AGAIN,),
    "one provider counts its reasoning apart": (
        "providers/test_billing.py::test_reasoning_that_is_counted_apart_is_paid_for_too",
    ),
    "cached tokens have two names": (CHAT + "deepseek-chat-long-emoji",),
    "the limit has two names": ("providers/test_requests.py::test_the_limit_has_the_name_its_host_knows", AGAIN),
    "models that reason refuse sampling": (SAMPLING,),
    "a model without a system role": (
        "providers/test_quirks.py::test_a_model_without_a_system_role_is_told_by_the_person",
    ),
    "errors are flat, nested, words, numbers or wrapped": (
        CHAT + "vllm-400-flat-error-body",
        CHAT + "mistral-401-detail",
        RESPONSES + "xai-400-error-is-string",
        CHAT + "openrouter-429-upstream",
    ),
    # Responses
    "ids of items change in every event": (RESPONSES + "copilot-rotating-item-ids",),
    "reasoning has parts, as summary or raw": (
        RESPONSES + "openai-o3-mini-four-summary-parts",
        RESPONSES + "openrouter-gpt-oss-raw-cot",
    ),
    "a run may be queued, incomplete or failed": (
        RESPONSES + "openai-gpt-4o-queued-json",
        RESPONSES + "openai-gpt-5.6-incomplete-json",
    ),
    "unknown kinds of items pass": (
        RESPONSES + "openai-gpt-5.4-hosted-tool-search-json",
        RESPONSES + "openai-custom-tool",
        RESPONSES + "openai-mcp-approval",
    ),
    "text before a call is a comment": (RESPONSES + "openai-gpt-5.5-text-then-tool-phase",),
    # Anthropic
    "pings and blanks anywhere, blocks by index, unknown ones pass": (
        MESSAGES + "claude-sonnet-4-6-code-execution",
        MESSAGES + "claude-sonnet-4-5-mcp",
        MESSAGES + "claude-fable-5-fallback-to-opus",
    ),
    "arguments may never come, or be cut": (
        MESSAGES + "claude-haiku-4-5-tool-no-args",
        MESSAGES + "claude-3-7-sonnet-tool-json-cut-by-max-tokens",
    ),
    "later counts are the whole, not an addition": (
        MESSAGES + "claude-opus-4-5-input-tokens-revised-in-message_delta",
        MESSAGES + "claude-haiku-4-5-web-search",
    ),
    "cached tokens are counted apart from the input": (
        MESSAGES + "claude-3-5-sonnet-cache-read-usage",
        MESSAGES + "claude-sonnet-4-cache-write-usage",
    ),
    "rounds of a compaction or a fallback are added": (
        MESSAGES + "claude-fable-5-fallback-to-opus",
        "providers/test_billing.py::test_the_rounds_of_a_compaction_or_a_fallback_are_added",
    ),
    "reasons to stop are an open set, a refusal after text among them": (
        MESSAGES + "claude-fable-5-refusal-after-text-and-thinking",
        MESSAGES + "claude-sonnet-4-5-pause-turn-json",
        MESSAGES + "claude-sonnet-4-5-stop-sequence-json",
    ),
    "thoughts may be hidden or have a signature alone": (
        MESSAGES + "claude-sonnet-4-5-redacted-thinking-stream",
        MESSAGES + "claude-sonnet-5-advisor",
        UNSENT,
    ),
    "models differ in how they are told to think, and in sampling": (CLAUDE, MESSAGES + "400-effort-unsupported"),
    "a beginning of the answer may be refused": (
        "providers/test_quirks.py::test_a_beginning_that_claude_refuses_is_gone_on_with_in_words",
    ),
    "overload may be the first event of a good answer": (
        MESSAGES + "200-stream-first-event-is-overloaded",
        MESSAGES + "529-overloaded",
    ),
    "a beginning may come twice": (
        MESSAGES + "proxy-duplicate-message_start",
        MESSAGES + "proxy-spliced-message_start",
    ),
    # Gemini
    "a stream may be one list": (GENERATED + "json-array-text", GENERATED + "json-array-tool-call"),
    "each part of a frame may be missing": (
        GENERATED + "gemini-2.5-pro-max-tokens-no-parts",
        GENERATED + "vertex-empty-content-firebase",
        GENERATED + "gemini-prompt-blocked-stream-firebase",
    ),
    "calls end with STOP and have no id": (
        GENERATED + "gemini-2.5-flash-tool-call",
        GENERATED + "vertex-unexpected-tool-call-json",
    ),
    "an unknown reason is no success": (
        GENERATED + "vertex-unknown-finish-enum-firebase",
        GENERATED + "gemini-recitation-stream-firebase",
        GENERATED + "gemini-safety-block-json",
    ),
    "thoughts are marked, and their signatures stay": (
        GENERATED + "gemini-3-pro-thought-parts",
        GENERATED + "gemini-thinking-summary-firebase",
        UNSENT,
    ),
    "arguments may be streamed by path": (
        GENERATED + "vertex-streamed-args-two-calls",
        GENERATED + "vertex-streamed-args-no-args-and-parallel",
    ),
    "sources come in four places": (
        GENERATED + "gemini-google-search-grounding",
        GENERATED + "gemini-citation-metadata-firebase",
        GENERATED + "gemini-google-maps-grounding-json",
        GENERATED + "vertex-malformed-url-context-mixed-json",
    ),
    "counts are the whole so far and leave thoughts out": (
        GENERATED + "gemini-3-flash-thinking-json",
        GENERATED + "gemini-code-execution",
    ),
    "the key is no part of the address": ("providers/test_requests.py::test_gemini_keeps_its_key_out_of_the_address",),
    "levels for new models, budgets for old": (
        "providers/test_quirks.py::test_gemini_thinks_in_the_measure_its_model_takes",
    ),
    "errors in lists, JSON in JSON, a wrong key as 400": (
        GENERATED + "503-double-encoded-message",
        GENERATED + "400-api-key-invalid",
        GENERATED + "503-inside-stream-after-thoughts",
    ),
    # All of them
    "nothing is sent that the protocol does not know": (TYPES,),
}

NOT_OURS = (
    "ids of calls as another provider wants them",
    "a forced choice of tools",
    "results of tools in one message",
    "schemas of tools in a subset",
    "the window of a local server",
    "credit checked against the largest answer",
)
