// LLM Mobile: the C API.
//
// Conventions
//
// 1. Every function that can fail returns llmm_status. Codes are never renumbered. The text that explains the
//    last failure on the calling thread is llmm_last_error().
// 2. Nothing a caller can pass aborts the process or lets a C++ exception out: wrong sizes, unknown token ids,
//    broken files, bad JSON and exhausted memory are status codes.
// 3. Out parameters come last and are written only on LLMM_OK, except where a declaration says otherwise.
// 4. Structs begin with struct_size, set by the caller to sizeof. A shorter struct comes from an older caller: the
//    missing fields take their defaults. A longer one is accepted only if the surplus bytes are zero. The
//    llmm_*_init functions fill in struct_size and the defaults.
// 5. Text is UTF-8 with a length in bytes. Text that goes in need not end with a zero byte unless it is a path.
//    Invalid UTF-8 is LLMM_ERR_ENCODING. Text that comes out is valid UTF-8: a character never comes in pieces.
// 6. Variable-sized results are llmm_buffer objects that the caller frees.
// 7. Requests and reports that are off the token path travel as JSON; unknown keys are errors that name the key.
// 8. Times are microseconds (_us), sizes are bytes (_bytes), counts of tokens are int32_t.
//
// Threads: a model may be used by any number of threads and sessions at once. A session takes one call at a time:
// a second one gets LLMM_ERR_BUSY and changes nothing. llmm_session_cancel, llmm_session_set_threads and
// llmm_session_set_kv_budget may run beside any call. Sessions keep their model alive, so handles may be closed in any order.
#ifndef LLM_MOBILE_H
#define LLM_MOBILE_H

#include <stddef.h>
#include <stdint.h>

#ifndef LLMM_API
#  if defined(_WIN32)
#    define LLMM_API
#  else
#    define LLMM_API __attribute__((visibility("default")))
#  endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Version of this interface. It grows with every incompatible change; a binding refuses a library whose
// llmm_abi_version() differs from the one it was generated from.
#define LLMM_ABI_VERSION 2

// ---------------------------------------------------------------------------------------------------------------
// Status codes and errors
// ---------------------------------------------------------------------------------------------------------------

typedef enum llmm_status {
    LLMM_OK                    = 0,
    LLMM_ERR_INVALID_ARGUMENT  = 1,   // a null handle, a wrong struct_size, a value that makes no sense
    LLMM_ERR_RANGE             = 2,   // a number outside its range; the text gives the value and the range
    LLMM_ERR_OUT_OF_MEMORY     = 3,
    LLMM_ERR_IO                = 4,   // open, read, write or rename failed; the text has the system's reason
    LLMM_ERR_MODEL_NOT_FOUND   = 5,   // no file at the path, or a directory
    LLMM_ERR_MODEL_INVALID     = 6,   // not a GGUF file, truncated, or inconsistent
    LLMM_ERR_MODEL_UNSUPPORTED = 7,   // a sound GGUF whose architecture, version or type this build cannot run
    LLMM_ERR_CONTEXT_FULL      = 8,   // the tokens do not fit the context; the text gives both lengths
    LLMM_ERR_CANCELLED         = 9,   // llmm_session_cancel or a callback stopped the call
    LLMM_ERR_BUSY              = 10,  // another call is running on this session
    LLMM_ERR_ENCODING          = 11,  // text is not valid UTF-8
    LLMM_ERR_JSON              = 12,  // malformed JSON, an unknown key or a wrong type; the text gives the path
    LLMM_ERR_TEMPLATE          = 13,  // the chat template is missing or fails on these messages
    LLMM_ERR_GRAMMAR           = 14,  // the grammar or JSON schema does not compile
    LLMM_ERR_STATE_INVALID     = 15,  // a session file is truncated, corrupt or of an unknown version
    LLMM_ERR_STATE_MISMATCH    = 16,  // a sound session file of another model or a larger context
    LLMM_ERR_ADAPTER_INVALID   = 17,  // a LoRA adapter that is broken or made for another model
    LLMM_ERR_NOT_AVAILABLE     = 18,  // the model or this build cannot do that
    LLMM_ERR_NO_BACKEND        = 19,  // no compute back end fits this CPU
    LLMM_ERR_NO_LOGITS         = 20,  // nothing has been evaluated yet, so there is nothing to read or sample
    LLMM_ERR_INTERNAL          = 21   // a fault of ours or of llama.cpp; please report it
} llmm_status;

// Stable upper-case name of a status without prefix, such as "CONTEXT_FULL"; "UNKNOWN" for other numbers.
LLMM_API const char * llmm_status_name(int32_t status);

// Text of the last failure on this thread, "" if there was none. Valid until the next call on this thread.
LLMM_API const char * llmm_last_error(void);

// ---------------------------------------------------------------------------------------------------------------
// Process
// ---------------------------------------------------------------------------------------------------------------

LLMM_API uint32_t llmm_abi_version(void);

// JSON: {"version","abi","llama_cpp":{"version","tree","patches"},"compiler","build_type"}. Static storage.
LLMM_API const char * llmm_build_info(void);

// JSON: {"cpu","physical_cores","logical_cores","features"} of the machine at hand. Static storage.
LLMM_API const char * llmm_system_info(void);

// Resident memory of this process now and at its peak, in bytes; 0 where the system does not tell.
LLMM_API llmm_status llmm_process_memory(uint64_t * rss_bytes, uint64_t * peak_rss_bytes);

typedef enum llmm_log_level {
    LLMM_LOG_DEBUG = 1,
    LLMM_LOG_INFO  = 2,
    LLMM_LOG_WARN  = 3,
    LLMM_LOG_ERROR = 4,
    LLMM_LOG_OFF   = 5
} llmm_log_level;

// Receives one complete line without its newline. May be called from any thread, never concurrently with itself.
// It must not call back into this library.
typedef void (*llmm_log_cb)(int32_t level, const char * text, void * user_data);

// Routes messages of level `level` and above, ours and llama.cpp's, to cb. Process-wide; nothing is printed
// before the first call. cb == NULL or LLMM_LOG_OFF silences. When the call returns, the former callback is no
// longer running and never will be again.
LLMM_API llmm_status llmm_log_set(int32_t level, llmm_log_cb cb, void * user_data);

// ---------------------------------------------------------------------------------------------------------------
// Buffers
// ---------------------------------------------------------------------------------------------------------------

typedef struct llmm_buffer llmm_buffer;                     // an owned, immutable run of bytes

LLMM_API const void * llmm_buffer_data(const llmm_buffer * buffer);        // text is followed by a zero byte
LLMM_API size_t       llmm_buffer_size(const llmm_buffer * buffer);        // in bytes, without that zero
LLMM_API void         llmm_buffer_free(llmm_buffer * buffer);              // NULL is fine

// ---------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------

typedef struct llmm_model   llmm_model;     // weights and vocabulary; shareable between sessions and threads
typedef struct llmm_adapter llmm_adapter;   // a LoRA adapter of one model
typedef struct llmm_sampler llmm_sampler;   // turns logits into tokens; state of one generation
typedef struct llmm_session llmm_session;   // one conversation

// Progress in [0, 1] of loading or prefill. Return 0 to go on, anything else to cancel.
typedef int32_t (*llmm_progress_cb)(float progress, void * user_data);

typedef struct llmm_model_params {
    uint32_t         struct_size;
    int32_t          use_mmap;         // 1 (default): map the file; 0: read it into memory
    int32_t          use_mlock;        // 0 (default); 1: keep the weights from being swapped out
    int32_t          check_tensors;    // 0 (default); 1: look for NaN and infinities while loading
    int32_t          vocab_only;       // 0 (default); 1: vocabulary and metadata only, sessions cannot be created
    int32_t          repack;           // 1 (default): repack weights for the CPU's matrix kernels; costs memory
    llmm_progress_cb progress;         // NULL (default): none
    void *           progress_data;
    int32_t          layer_begin;      // layers [layer_begin, layer_end) are loaded; the weights of the others stay in the
    int32_t          layer_end;        // file and take no memory. 0 (default): from the first, to the last
} llmm_model_params;

LLMM_API void llmm_model_params_init(llmm_model_params * params);

// Loads a GGUF file; of a split model, name the first part. params may be NULL for the defaults. The path is
// UTF-8 and ends with a zero byte.
//
// LLMM_ERR_MODEL_NOT_FOUND, _MODEL_INVALID, _MODEL_UNSUPPORTED, _OUT_OF_MEMORY, _CANCELLED: nothing is kept.
LLMM_API llmm_status llmm_model_open(const char * path, const llmm_model_params * params, llmm_model ** out);

// Gives up the caller's reference. The weights go when the last session and adapter of the model are closed.
LLMM_API void llmm_model_close(llmm_model * model);

// JSON: {"architecture","name","description","license","parameters","size_bytes","quantization",
//  "context_train","embedding","layers","heads","heads_kv","head_dim_k","head_dim_v","vocabulary",
//  "sliding_window","recurrent","hybrid","encoder","decoder","rope_type","bos","eos","end_tokens","add_bos",
//  "add_eos","chat_template","fingerprint"}. Unknown or absent values are null.
LLMM_API llmm_status llmm_model_info(const llmm_model * model, llmm_buffer ** out);

// Facts of a GGUF file read from its header alone, without loading weights. JSON: {"version","size_bytes",
//  "data_offset","tensor_count","parameters","types":{"Q4_1":{"tensors","bytes"}},"metadata":{key:value},
//  "tensors":[{"name","type","shape","bytes"}]}. Arrays of more than 16 elements in the metadata are given as
//  {"type","length"}.
LLMM_API llmm_status llmm_gguf_inspect(const char * path, llmm_buffer ** out);

// ---------------------------------------------------------------------------------------------------------------
// Numbers of tensors
// ---------------------------------------------------------------------------------------------------------------

// Types are those of GGUF files, that is, ggml_type: 0 f32, 1 f16, 2 Q4_0, 8 Q8_0, 42 Q2_0 and so on. Threads: any.

// The n numbers that are stored as `type` in `data`, as f32.
// LLMM_ERR_RANGE: no such type, or n numbers of it do not take data_bytes. LLMM_ERR_NOT_AVAILABLE: n is no multiple of
// the type's block, or the type has no way back to f32; the text says which.
LLMM_API llmm_status llmm_tensor_dequantize(int32_t type, const void * data, size_t data_bytes, float * out, int64_t n);

// A matrix of f32, row by row, as `type`; the buffer holds what a GGUF file would.
// LLMM_ERR_RANGE: no such type, or no such matrix. LLMM_ERR_NOT_AVAILABLE: a row is no multiple of the type's block (the
// text names both), or the type cannot be made from f32 alone. LLMM_ERR_INVALID_ARGUMENT: a number is not finite.
LLMM_API llmm_status llmm_quantize(int32_t type, int64_t rows, int64_t cols, const float * in, llmm_buffer ** out);

// ---------------------------------------------------------------------------------------------------------------
// Text
// ---------------------------------------------------------------------------------------------------------------

// Tokens of a text. add_special: 1 adds what the model wants around a text (BOS, EOS); parse_special: 1 turns
// the text of control tokens such as <|im_start|> into those tokens: use it for templates, never for user input.
// The buffer holds int32_t token ids.
LLMM_API llmm_status llmm_tokenize(const llmm_model * model, const char * text, size_t text_bytes,
                                   int32_t add_special, int32_t parse_special, llmm_buffer ** out);

// Text of tokens. special: 1 writes control tokens as text, 0 leaves them out. Bytes that do not form a
// character become U+FFFD. LLMM_ERR_RANGE: a token id is not in the vocabulary.
LLMM_API llmm_status llmm_detokenize(const llmm_model * model, const int32_t * tokens, int32_t n_tokens,
                                     int32_t special, llmm_buffer ** out);

// Renders a conversation with the model's own chat template through llama.cpp's Jinja engine.
// Request, JSON: {"messages":[{"role","content",...}],"tools":[...],"add_generation_prompt":true,
//  "template":null,"kwargs":{}}, messages and tools in OpenAI's form. "template" replaces the model's own.
// The result is the prompt as text; tokenise it with parse_special = 1, and with add_special = 1 (a BOS that the
// template writes itself has been taken off the front of the text).
LLMM_API llmm_status llmm_chat_render(const llmm_model * model, const char * request, size_t request_bytes,
                                      llmm_buffer ** out);

// ---------------------------------------------------------------------------------------------------------------
// Adapters
// ---------------------------------------------------------------------------------------------------------------

typedef struct llmm_adapter_params {
    uint32_t struct_size;
    int32_t  rank;     // 0 (default): that of the file; r: of each matrix the first r components of its product, all where
                       // there are fewer. Files of llm-mobile compress have the components that do most first. The
                       // strength stays what it would be with the whole file.
    int32_t  exact;    // 0 (default): one node of our own for each matrix, which computes in f32; 1: llama.cpp's nodes,
                       // whose results it has bit for bit. Not together with a rank
} llmm_adapter_params;

LLMM_API void llmm_adapter_params_init(llmm_adapter_params * params);

// Loads a LoRA adapter (GGUF) for this model. A file with the text llmm.base.fingerprint in its metadata belongs to the
// model of that fingerprint (llmm_model_info) and is refused by every other; without it, shapes and architecture decide.
// params may be NULL for the defaults.
// LLMM_ERR_MODEL_NOT_FOUND: no file at the path. LLMM_ERR_ADAPTER_INVALID: broken, made for another model, or with numbers
// that are not finite. LLMM_ERR_RANGE: a rank that no matrix of the file has. LLMM_ERR_NOT_AVAILABLE: a rank of a file with
// factors that cannot be cut, those of embeddings and of experts.
LLMM_API llmm_status llmm_adapter_open(llmm_model * model, const char * path, const llmm_adapter_params * params,
                                       llmm_adapter ** out);
LLMM_API void        llmm_adapter_close(llmm_adapter * adapter);  // sessions that use it keep it alive

// JSON: {"rank","file_rank","matrices","bytes","exact","base","fingerprint"}: the largest rank in force, and of the file;
// what the factors take in memory; whether llama.cpp's nodes apply all of them; llmm.base.fingerprint or null; the file's own
// fingerprint.
LLMM_API llmm_status llmm_adapter_info(const llmm_adapter * adapter, llmm_buffer ** out);

// ---------------------------------------------------------------------------------------------------------------
// Sampling
// ---------------------------------------------------------------------------------------------------------------

// Options, JSON, all optional (default; range):
//   temperature (0.8; >= 0, 0 is greedy), top_k (40; 0 = all), top_p (0.95; 0..1), min_p (0.05; 0..1),
//   typical_p (1; 0..1), repeat_penalty (1; > 0), frequency_penalty (0), presence_penalty (0),
//   penalty_last_n (64; -1 = the whole context), dry_multiplier (0; >= 0), dry_base (1.75; >= 1),
//   dry_allowed_length (2), dry_penalty_last_n (-1 = the whole context), dry_sequence_breakers (["\n",":","\"","*"]),
//   mirostat (0; 0, 1 or 2), mirostat_tau (5), mirostat_eta (0.1),
//   seed (none: drawn from the system; 0..4294967295),
//   logit_bias ([]; [{"token":id,"bias":x}], null as bias forbids the token),
//   grammar (none; GBNF), json_schema (none; an object; not together with grammar),
//   ignore_eos (false), stop ([]; strings that end the generation and are not part of the text)
// options may be NULL for the defaults.
// LLMM_ERR_JSON, _RANGE, _GRAMMAR: nothing is created.
LLMM_API llmm_status llmm_sampler_new(llmm_model * model, const char * options, size_t options_bytes,
                                      llmm_sampler ** out);
LLMM_API void        llmm_sampler_free(llmm_sampler * sampler);

// The seed in use: the one given, or the one that was drawn.
LLMM_API uint32_t    llmm_sampler_seed(const llmm_sampler * sampler);

// ---------------------------------------------------------------------------------------------------------------
// Sessions
// ---------------------------------------------------------------------------------------------------------------

typedef enum llmm_flash_attention {
    LLMM_FLASH_ATTENTION_AUTO = -1,
    LLMM_FLASH_ATTENTION_OFF  = 0,
    LLMM_FLASH_ATTENTION_ON   = 1
} llmm_flash_attention;

// How pages older than the recent window are kept. A greater number takes less memory.
typedef enum llmm_kv_quantize {
    LLMM_KV_F16      = 0,       // as they were stored
    LLMM_KV_4BIT     = 1,       // 4 bits per element
    LLMM_KV_ADAPTIVE = 2,       // 4 bits; values in 2 bits where the budget presses
    LLMM_KV_SMALLEST = 3        // keys in 4 bits, values in 2
} llmm_kv_quantize;

// What decides which tokens pruning keeps. All but the first are controls: what attention must do better than.
typedef enum llmm_prune_policy {
    LLMM_PRUNE_ATTENTION = 0,   // the attention they get
    LLMM_PRUNE_RECENCY   = 1,   // their position: the newest stay (StreamingLLM, arXiv 2309.17453)
    LLMM_PRUNE_RANDOM    = 2
} llmm_prune_policy;

// Token pruning while decoding, page by page of kv_page_tokens tokens and for each KV head of each layer on its own.
// Active pages may be read. Pruned ones are in the shadow set: kept with keys and values, not read, and tested every few
// steps by a step that reads all pages, whose result is that of dense attention; those that matter again come back.
// With select_mass a step reads of the active pages the fewest that hold that share of what the last look at them saw.
// Pinned and recent tokens and the last turn are always read, and steps of several tokens (prompts) read everything but
// what was dropped.
// With prefill_keep long prompts are pruned too: all tokens go through the layers before prefill_layer; of these layers, the
// attention of the last 32 tokens, and the words that they share with a page, tell which pages go through the others.
// Hidden states of what is left out are kept (halves), max_shadow_tokens at most and as long as the budget has room for
// them; a later prompt of 512 tokens or less brings back what it shares words with or attends to, a sixteenth of all tokens
// at most, while prefill_keep is below 1. Needs pages in every layer; LLMM_ERR_NOT_AVAILABLE says why a model or session
// cannot, LLMM_ERR_RANGE that it has no such layer.
// Prompts for which the budget has no room for the hidden states (f32) are read in full.
// Sources: ArkVale (NeurIPS 2024), LazyLLM (arXiv 2407.14057), Ada-KV (arXiv 2407.11550), FastKV (arXiv 2502.01068);
// docs/pruning.md.
typedef struct llmm_prune_params {
    uint32_t struct_size;
    float    threshold;         // from 0 to 1: the share of a head's attention, by moving average with a memory of peaks,
                                // that the tokens pruned from it hold together at most. 0 (default): nothing is pruned
                                // and no step is another than without pruning; a larger one prunes at least as much.
                                // 0.01 suits contexts of 1,000 to 8,000 tokens
    float    keep_ratio;        // from 0 to 1: share of all tokens that stays active, on average over layers and heads.
                                // 1 (default): the threshold decides; less takes its place
    int32_t  max_active_tokens; // the same as a number of tokens; 0 (default): any number
    int32_t  max_shadow_tokens; // tokens the shadow set holds, on average over layers and heads; what does not fit is
                                // dropped for good, the least important first. -1 (default): all, 0: none
    float    select_mass;       // from 0 to 1: share of a head's attention that a step reads at least, by estimate;
                                // default 1: all active pages are read
    int32_t  test_interval;     // steps from one test of the shadow set to the next, at least 1; default 8. A prompt or
                                // an unexpected token brings the next test forward
    int32_t  select_interval;   // steps from one look at the active pages to the next, at least 1; default 4
    int32_t  min_tokens;        // in shorter contexts nothing is pruned; default 1024
    int32_t  policy;            // llmm_prune_policy; default LLMM_PRUNE_ATTENTION
    int32_t  record;            // 0 (default); 1: llmm_session_prune_events tells what was pruned and recalled
    float    prefill_keep;      // from 0 to 1: share of the tokens of a prompt that the layers from prefill_layer on see, if
                                // the prompt has min_tokens tokens or more. 1 (default): all of them, without other steps than
                                // without pruning
    int32_t  prefill_layer;     // all tokens go through the layers before this one; 0 (default): the first third
    int32_t  bound;             // 0 (default); 1: each step bounds what it leaves out (prune_omitted_bound), from the range of
                                // each channel of the keys in a page: a ninth of the bytes that it saves, of f16 pages half
} llmm_prune_params;

LLMM_API void llmm_prune_params_init(llmm_prune_params * params);

typedef struct llmm_session_params {
    uint32_t struct_size;
    int32_t  n_ctx;             // tokens the session can hold; 0 (default): the smaller of 4096 and what the model
                                // was trained for. Rounded up to a multiple of 256.
    int32_t  n_batch;           // tokens per prefill step, the granularity of progress and cancel; default 512
    int32_t  n_threads;         // threads for decoding; 0 (default): physical cores
    int32_t  n_threads_batch;   // threads for prefill; 0 (default): as n_threads
    int32_t  flash_attention;   // llmm_flash_attention; default AUTO: as llama.cpp decides, so that results are its own.
                                // On CPUs OFF decodes faster in long contexts and needs more work memory in prefill.
    // Paged key-value cache. Pages hold kv_page_tokens tokens of one layer; attention runs on kernels over pages. Older
    // pages take 4 bits per element: keys per channel of the page, values per token, both rotated by a Hadamard
    // transform (after KIVI, arXiv 2402.02750, and QuaRot, arXiv 2404.00456).
    int32_t  kv_page_tokens;    // 16, 32 or 64; 0 (default): llama.cpp's own cache, and the fields below are not used.
                                // Layers with a sliding window always keep llama.cpp's. LLMM_ERR_NOT_AVAILABLE: the
                                // architecture's cache cannot be paged; the text says why.
    int32_t  kv_quantize;       // llmm_kv_quantize; default LLMM_KV_ADAPTIVE
    int32_t  kv_evict;          // 0 (default); 1: when the budget or the context is full, the pages that attention has
                                // used least are forgotten: generation goes on without those tokens' keys and values,
                                // and the history may grow past n_ctx. The pinned tokens are moved up so that no
                                // distance exceeds what the model was trained for (after StreamingLLM, arXiv 2309.17453).
    int32_t  kv_recent_tokens;  // newest tokens that are never evicted and stay f16 while the budget allows; default 128
    int32_t  kv_pinned_tokens;  // first tokens of which the same holds (attention sinks, arXiv 2309.17453; a system
                                // prompt); default 16
    int32_t  kv_exact;          // 0 (default); 1: pages are gathered into llama.cpp's layout and its own attention runs:
                                // same bits as without pages while nothing is quantised or evicted. For comparison: slow
    uint64_t kv_budget_bytes;   // bound of the pages, their tables and buffers; 0 (default): none. When it is full, in
                                // this order: older pages to 4 bits at once, then to 2-bit values if allowed, then to
                                // the spill file, then eviction, then 4 bits for recent and pinned pages, then LLMM_ERR_CONTEXT_FULL before anything changes
    const char * kv_spill_dir;  // NULL (default): none. Else a directory, made if it is missing: pages that do not fit
                                // the budget go to a file there, which is removed with the session. They take part in
                                // attention as before and are read at each step. Path as in llmm_model_open
    const llmm_prune_params * prune;    // NULL (default): nothing is pruned. Needs pages; kv_exact reads all all the same
    int32_t  layer_begin;       // the session evaluates layers [layer_begin, layer_end) of those that are loaded; 0 (default):
    int32_t  layer_end;         // from the first, to the last of them. With fewer than the model has, the session takes and
                                // gives hidden states: llmm_session_eval_hidden
} llmm_session_params;

LLMM_API void llmm_session_params_init(llmm_session_params * params);

// params may be NULL for the defaults. LLMM_ERR_RANGE names the field; LLMM_ERR_OUT_OF_MEMORY: nothing is kept.
LLMM_API llmm_status llmm_session_new(llmm_model * model, const llmm_session_params * params, llmm_session ** out);

// A session that goes on where the parent is: the same parameters, history, adapters and logits. Full pages are shared:
// they are stored once, whichever of the two lives longer, and copied when one of them writes to, quantises or moves its
// own. Each session's budget counts the pages it uses. Without pages, keys and values are copied.
// LLMM_ERR_OUT_OF_MEMORY: nothing is kept, the parent is as it was. One call on the parent.
LLMM_API llmm_status llmm_session_fork(llmm_session * parent, llmm_session ** out);

// Another budget for the pages (kv_budget_bytes; 0 = none), for a system that asks for memory back. With no call running
// on the session, pages are given up now. Beside a running call it takes effect before its next step or at its end; if it
// cannot be met there, the former one stays in force and the log says so.
// LLMM_ERR_CONTEXT_FULL: what may not be given up needs more; the budget is what it was. LLMM_ERR_NOT_AVAILABLE: the
// session has no pages. Threads: any.
LLMM_API llmm_status llmm_session_set_kv_budget(llmm_session * session, uint64_t bytes);

// Other settings of token pruning; NULL for none, which makes all of the shadow set active. What was dropped stays so.
// LLMM_ERR_NOT_AVAILABLE: the session has no pages, or cannot prune prompts as it is asked to; nothing has changed.
LLMM_API llmm_status llmm_session_set_pruning(llmm_session * session, const llmm_prune_params * params);

typedef enum llmm_prune_event_kind {
    LLMM_PRUNE_PRUNED   = 0,    // became shadow for most heads
    LLMM_PRUNE_RECALLED = 1,    // became active for most heads
    LLMM_PRUNE_DROPPED  = 2     // was dropped by most heads
} llmm_prune_event_kind;

// A page that changed between being active for most heads of all layers and not.
typedef struct llmm_prune_event {
    int32_t position;           // of the token that was evaluated
    int32_t first_pos;          // of the page's tokens
    int32_t last_pos;
    int32_t kind;               // llmm_prune_event_kind
    float   active_share;       // of heads, after it
} llmm_prune_event;

// Events since the last call, an array of llmm_prune_event; at most 65,536 wait. Empty without llmm_prune_params.record.
LLMM_API llmm_status llmm_session_prune_events(llmm_session * session, llmm_buffer ** out);

// What pruning knows of a page.
typedef struct llmm_prune_page {
    int32_t first_pos;          // of its tokens
    int32_t last_pos;
    float   importance;         // moving average of the share of attention that falls on it, mean over layers and heads
    float   active_share;       // of heads for which it is active
    float   dropped_share;      // of heads that have dropped it
} llmm_prune_page;

// All pages in memory or in the spill file, in the order of their tokens, an array of llmm_prune_page.
// LLMM_ERR_NOT_AVAILABLE: the session has no pages.
LLMM_API llmm_status llmm_session_prune_pages(llmm_session * session, llmm_buffer ** out);

typedef struct llmm_kv_probe_result {
    uint32_t struct_size;
    int32_t  quantize;          // llmm_kv_quantize: F16, 4BIT or SMALLEST, the smallest that is safe
    double   kl_4bit;           // mean KL divergence from f16 pages, nats
    double   kl_smallest;
    double   kl_noise;          // the same of llama.cpp's own attention: what mere rounding does to this model
    double   kl_limit;          // the most that counted as safe: the larger of 0.02 and twice the noise
} llmm_kv_probe_result;

// What quantised pages do to this model: evaluates a short built-in text with f16 and with quantised pages of
// page_tokens tokens and compares the predictions. Takes as long as the prefill of about 1,800 tokens; the result is kept
// with the model. n_threads: 0 = physical cores. LLMM_ERR_NOT_AVAILABLE: its cache cannot be paged, or it was loaded with a
// part of its layers.
LLMM_API llmm_status llmm_model_probe_kv(llmm_model * model, int32_t page_tokens, int32_t n_threads,
                                         llmm_kv_probe_result * out);

// Frees the session. No call may be running on it: cancel first and wait for the call to return.
LLMM_API void llmm_session_close(llmm_session * session);

// Stops the call that is running on the session, within a graph node's time. It returns LLMM_ERR_CANCELLED, or
// LLMM_OK with stop reason LLMM_STOP_CANCELLED from llmm_session_generate. With no call running it stops the next
// one, so that a cancel is never lost to a race; llmm_session_cancel_reset withdraws it. Threads: any.
LLMM_API void llmm_session_cancel(llmm_session * session);
LLMM_API void llmm_session_cancel_reset(llmm_session * session);

// Threads for decoding and prefill from the next step on; 0 leaves a value as it is. Threads: any.
LLMM_API llmm_status llmm_session_set_threads(llmm_session * session, int32_t n_threads, int32_t n_threads_batch);

// LoRA adapters in force from now on, with their scales; n = 0 removes all. The adapters must belong to the
// session's model. Cached keys and values no longer fit, so the next call evaluates the history again.
LLMM_API llmm_status llmm_session_set_adapters(llmm_session * session, llmm_adapter ** adapters,
                                               const float * scales, int32_t n);

// A session is a history of tokens. Keys and values of a prefix of it are in the cache; a token that was sampled
// last is evaluated with the next step.

LLMM_API int32_t llmm_session_n_tokens(const llmm_session * session);       // length of the history
LLMM_API int32_t llmm_session_n_ctx(const llmm_session * session);          // tokens it can hold
LLMM_API llmm_status llmm_session_tokens(const llmm_session * session, llmm_buffer ** out);   // int32_t ids

// Appends tokens and evaluates them (prefill). progress may be NULL.
//
// LLMM_OK: the logits of the last token can be read or sampled.
// LLMM_ERR_RANGE: a token id is not in the vocabulary; nothing has changed.
// LLMM_ERR_CONTEXT_FULL: nothing has changed.
// LLMM_ERR_CANCELLED: the history is what it was before the call.
LLMM_API llmm_status llmm_session_eval(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                       llmm_progress_cb progress, void * progress_data);

// Makes the history exactly these tokens: keeps the longest common prefix with what is there and evaluates the
// rest. *n_reused (may be NULL) is the number of tokens that needed no evaluation. Errors as llmm_session_eval,
// but LLMM_ERR_CANCELLED leaves the common prefix.
LLMM_API llmm_status llmm_session_prefill(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                          llmm_progress_cb progress, void * progress_data, int32_t * n_reused);

// Drops every token from position n_tokens on, as if it had never been evaluated.
// LLMM_ERR_RANGE: n_tokens is negative or past the end; nothing has changed.
LLMM_API llmm_status llmm_session_rewind(llmm_session * session, int32_t n_tokens);

// ---- layers

// Evaluates tokens in the session's layers. hidden_in: where they begin past 0, what the layers before put out,
// [n_tokens][embedding] f32, n_in its length; else NULL and 0. hidden_out, n_out likewise, where they end before the last;
// else the logits of the last token can be read or sampled. The tokens follow those in the cache: a token that was sampled
// and not evaluated is dropped, and comes again with its hidden state. The token ids serve the history, and layer 0.
// A model whose layers [0, k) and [k, n) are evaluated in turn gives the same bits as one session with all of them, on the
// same machine with the same threads.
// Such a session can be rewound, saved, loaded and forked; decode samples from its logits, and the token is evaluated
// when it comes back. What needs all layers is LLMM_ERR_NOT_AVAILABLE.
// LLMM_ERR_RANGE: a length does not fit; nothing has changed. On other errors the history is what it was, except
// LLMM_ERR_IO, which leaves what could be read: llmm_session_n_tokens tells from where to evaluate again.
LLMM_API llmm_status llmm_session_eval_hidden(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                              const float * hidden_in, int64_t n_in, float * hidden_out, int64_t n_out);

// Hidden states inside the model. With L layers the residual stream has 2 L + 1 places: 0 is the input of layer 0,
// 2 l + 1 lies between the attention and the feed-forward part of layer l, 2 l + 2 is the layer's output. Request, JSON:
// {"places":[0,2],"inputs":["blk.0.ffn_down.weight"]}: places, and weight matrices whose input is wanted. out, f32, has
// for each place and then for each matrix [n_tokens][width], one after another; n_out is its length. The session's history
// is cleared. LLMM_ERR_RANGE: a place, a length; more tokens than the context holds. LLMM_ERR_INVALID_ARGUMENT: no such
// matrix. LLMM_ERR_NOT_AVAILABLE: the graph of the architecture has no such place.
LLMM_API llmm_status llmm_session_taps(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                       const char * request, size_t request_bytes, float * out, int64_t n_out);

// Which parts of the layers are left out while decoding. Part 2 l is the attention of layer l, part 2 l + 1 its
// feed-forward part; those of the first and the last layer are always evaluated. A skipped part passes the residual on, or
// its stand-in (llmm_session_set_bypass). Keys and values of a skipped attention are still stored, so that no later step
// misses any. docs/layers.md has methods and sources.
typedef struct llmm_gate_params {
    uint32_t        struct_size;
    int32_t         n_order;        // 0 (default): nothing is skipped
    const int32_t * order;          // [n_order] parts, the first to be left out first
    int32_t         n_edges;        // 0 (default): levels[0] holds for every step
    const float *   edges;          // [n_edges] ascending bounds, in nats, of the entropy of the prediction that the token at
                                    // hand was sampled from
    const int32_t * levels;         // [n_edges + 1] for each range of entropy, how many parts of the order are skipped
    int32_t         dense_tokens;   // steps that skip nothing, from one in the last range on; default 0
    int32_t         batches;        // 0 (default); 1: prompts skip levels[0] parts too, for measurement
} llmm_gate_params;

LLMM_API void llmm_gate_params_init(llmm_gate_params * params);

// Gates in force from the next step on; NULL for none. Between two settings neither of which is empty the graph stays.
// LLMM_ERR_RANGE, _INVALID_ARGUMENT: nothing has changed. LLMM_ERR_NOT_AVAILABLE: this architecture's layers cannot be told
// apart; the text says why.
LLMM_API llmm_status llmm_session_set_gates(llmm_session * session, const llmm_gate_params * params);

// The parts that gates can skip in this model's graph, an array of int32_t.
LLMM_API llmm_status llmm_session_skippable(llmm_session * session, llmm_buffer ** out);

// A stand-in for a part when it is skipped: bias + up * (down * (x / rms(x))) is added to the residual x.
// down: [width][rank], up: [rank][width], bias: [width], f32, width the model's embedding. rank 0: none, the residual
// passes as it is.
LLMM_API llmm_status llmm_session_set_bypass(llmm_session * session, int32_t part, int32_t rank, const float * down,
                                             const float * up, const float * bias);

typedef struct llmm_token_result {
    uint32_t struct_size;
    int32_t  token;             // the sampled token, now the last of the history
    int32_t  is_end;            // 1: the model ends its answer with this token
    float    logprob;           // natural log of the model's probability of the token, before sampling
} llmm_token_result;

// One step: evaluates what is pending, samples a token from the last position and appends it. The first decode
// with a sampler feeds it the history, so that penalties see the prompt.
// LLMM_ERR_NO_LOGITS: the history is empty. LLMM_ERR_CONTEXT_FULL: nothing has changed.
LLMM_API llmm_status llmm_session_decode(llmm_session * session, llmm_sampler * sampler, llmm_token_result * out);

typedef struct llmm_token_batch {
    int32_t         n_tokens;     // tokens since the last call; 0 at the end, when held-back text comes out
    const int32_t * tokens;       // [n_tokens]
    const float *   logprobs;     // [n_tokens], or NULL if not asked for
    const int32_t * text_ends;    // [n_tokens] end of each token's text within text, in bytes
    const char *    text;         // what can be shown now: whole characters, and no start of a stop string
    int32_t         text_bytes;
} llmm_token_batch;

// Everything is valid during the call only. Return 0 to go on, anything else to stop the generation.
typedef int32_t (*llmm_token_cb)(const llmm_token_batch * batch, void * user_data);

typedef enum llmm_stop_reason {
    LLMM_STOP_NONE         = 0,
    LLMM_STOP_END          = 1,   // the model ended its answer
    LLMM_STOP_MAX_TOKENS   = 2,
    LLMM_STOP_STRING       = 3,   // a stop string appeared
    LLMM_STOP_CONTEXT_FULL = 4,
    LLMM_STOP_CANCELLED    = 5    // llmm_session_cancel, or the callback asked for it
} llmm_stop_reason;

typedef struct llmm_generate_params {
    uint32_t      struct_size;
    int32_t       max_tokens;       // -1: until the context is full; 0: nothing; default 256
    int32_t       logprobs;         // 0 (default); 1: report the log-probability of each token (costs a softmax)
    int32_t       batch_tokens;     // tokens per callback, 1 (default) to 64
    llmm_token_cb on_tokens;        // NULL (default): none
    void *        on_tokens_data;
    int32_t       draft_tokens;     // 0 (default): none; 1 to 16: most tokens drafted at once, 8 suits most. Drafts are what
                                    // followed the last few tokens before, in the prompt or the answer (prompt lookup, Saxena
                                    // 2023). One step evaluates them all; each token is sampled from the model's own logits
                                    // as without drafts, and what follows the first one that is another is taken back
                                    // (after speculative decoding, arXiv 2211.17192). It pays where the answer repeats the
                                    // text; where it does not, it is seen to and left off, as it is with pruning or
                                    // eviction and where a model cannot go back (recurrent ones). Tokens of a draft
                                    // attend one by one, so that sums round as in steps of one; where a CPU's products of
                                    // matrices do not, near-ties may fall otherwise: docs/drafting.md
} llmm_generate_params;

LLMM_API void llmm_generate_params_init(llmm_generate_params * params);

typedef struct llmm_generate_result {
    uint32_t struct_size;
    int32_t  stop_reason;           // llmm_stop_reason
    int32_t  n_tokens;              // tokens generated, the end token included
} llmm_generate_result;

// Samples until a stop reason. params may be NULL. The end token is part of the history but not of the text and
// not of the callback's tokens. On any error the history keeps what was generated before it.
LLMM_API llmm_status llmm_session_generate(llmm_session * session, llmm_sampler * sampler,
                                           const llmm_generate_params * params, llmm_generate_result * out);

// Logits of the last position, [vocabulary] f32. LLMM_ERR_RANGE: n is not the size of the vocabulary.
LLMM_API llmm_status llmm_session_logits(llmm_session * session, float * out, int32_t n);

// The k most probable next tokens with their natural-log probabilities, most probable first.
LLMM_API llmm_status llmm_session_top_logprobs(llmm_session * session, int32_t k, int32_t * tokens, float * logprobs);

typedef enum llmm_pooling {
    LLMM_POOLING_MEAN = 1,
    LLMM_POOLING_CLS  = 2,      // the first token
    LLMM_POOLING_LAST = 3
} llmm_pooling;

// Embedding of a text given as tokens: final hidden states [n_tokens][embedding], pooled over the tokens, with
// normalize = 1 scaled to Euclidean length 1. out is [embedding] f32 and n its length. The session's history is
// cleared: keep a session of its own for embeddings.
LLMM_API llmm_status llmm_session_embed(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                        int32_t pooling, int32_t normalize, float * out, int32_t n);

typedef struct llmm_perplexity_params {
    uint32_t         struct_size;
    int32_t          n_ctx;           // window in tokens; 0 (default): the session's context
    int32_t          n_chunks;        // windows to score; -1 (default): all that fit
    int32_t          n_decode;        // 0 (default): windows are read in batches and their second half is scored. Else
                                      // that many last tokens of each window are evaluated one by one, as when
                                      // generating, and scored
    const char *     save_path;       // NULL (default); else the log-probabilities of every scored token go there
    const char *     against_path;    // NULL (default); else compare with such a file
    llmm_progress_cb progress;        // NULL (default); called after each step
    void *           progress_data;
} llmm_perplexity_params;

LLMM_API void llmm_perplexity_params_init(llmm_perplexity_params * params);

typedef struct llmm_perplexity_result {
    uint32_t struct_size;
    int32_t  n_scored;                // scored tokens
    double   perplexity;
    double   stderr_;                 // standard error of the perplexity
    double   kl_mean;                 // KL(base || this) in nats, NaN without against_path
    double   kl_p99;
    double   top1_agreement;          // share of positions with the same most probable token, NaN without
} llmm_perplexity_result;

// Perplexity over tokens with the windows and the scoring of llama.cpp's perplexity tool: windows of n_ctx tokens
// side by side, BOS in place of each window's first token where the model wants it, the second half of each window
// scored. The session's history is cleared. LLMM_ERR_RANGE: fewer tokens than two windows hold.
// save_path and against_path: docs/logprobs-format.md has the format.
LLMM_API llmm_status llmm_session_perplexity(llmm_session * session, const int32_t * tokens, int32_t n_tokens,
                                             const llmm_perplexity_params * params, llmm_perplexity_result * out);

// Writes history, keys and values to a file (format: docs/session-format.md): to a temporary file beside it, synced
// and renamed, so that the path holds the old file or the new one, never a part. LLMM_ERR_IO: disk full, no
// permission; the old file is untouched.
LLMM_API llmm_status llmm_session_save(llmm_session * session, const char * path);

// Replaces the session's history by a saved one; continuing gives the same logits as the session that was saved.
// LLMM_ERR_STATE_INVALID, _STATE_MISMATCH, _IO: the session is what it was before.
LLMM_API llmm_status llmm_session_load(llmm_session * session, const char * path);

typedef struct llmm_stats {
    uint32_t struct_size;
    int32_t  n_ctx;                   // tokens the session can hold
    int32_t  n_tokens;                // length of the history
    int32_t  n_threads;
    int32_t  n_threads_batch;
    int64_t  prompt_tokens;           // evaluated in prefill, since the session began or the last reset
    int64_t  reused_tokens;           // taken from the cache by llmm_session_prefill instead
    int64_t  generated_tokens;        // sampled
    int64_t  prompt_us;               // time in prefill
    int64_t  decode_us;               // time in evaluation of single tokens and drafts
    int64_t  sample_us;               // time in sampling
    uint64_t model_bytes;             // weights
    uint64_t kv_bytes;                // key-value cache
    uint64_t compute_bytes;           // work buffers and graphs
    // Paged cache; 0 without one. A page counts once, whatever the number of layers.
    uint64_t kv_peak_bytes;           // most bytes that pages, tables and buffers took
    uint64_t kv_budget_bytes;         // in force
    int32_t  kv_pages_f16;            // pages in memory as stored
    int32_t  kv_pages_q4;             // in memory, 4 bits
    int32_t  kv_pages_q42;            // in memory, keys 4 bits, values 2
    int32_t  kv_pages_spilled;        // in the spill file
    int32_t  kv_pages_shared;         // of those in memory: shared with another session
    int32_t  kv_pages_evicted;        // pages of tokens that are in the history and no longer in the cache
    uint64_t kv_bytes_f16;            // in memory, by format
    uint64_t kv_bytes_q4;
    uint64_t kv_bytes_q42;
    uint64_t kv_bytes_spilled;        // in the spill file
    int64_t  kv_demotions;            // pages quantised so far, or quantised further
    int64_t  kv_promotions;           // quantised or spilled pages that were written again
    int64_t  kv_spills;               // pages written to the spill file
    int64_t  kv_recalls;              // pages that came back from it because there was room
    int64_t  kv_evictions;
    int64_t  kv_recomputed;           // times that damaged pages were evaluated again
    int64_t  kv_demotion_us;          // time spent quantising
    int64_t  kv_spill_us;             // writing to the spill file
    int64_t  kv_read_us;              // reading from it, all threads
    int64_t  kv_read_bytes;
    // Token pruning; 0 without. Tokens are means over layers and KV heads. Active, shadow and dropped ones together are the
    // tokens in the cache.
    double   prune_active_tokens;
    double   prune_shadow_tokens;
    double   prune_dropped_tokens;
    double   prune_pruned_tokens;     // left the active set so far; one that returned and left again counts twice
    double   prune_recalled_tokens;   // returned so far
    double   prune_read_tokens;       // read by an average step
    double   prune_omitted_mass;      // share of attention that a step would have left out, measured at each test: mean
    double   prune_omitted_most;      // and the most of a test
    double   prune_omitted_bound;     // with llmm_prune_params.bound, of the other steps: what it can have been at most; mean
    double   prune_omitted_bound_most; // and the most of a step
    int64_t  prune_steps;             // decoded with pruning in force
    int64_t  prune_tests;             // of those: that read everything
    int64_t  prune_looks;             // and the active pages
    int64_t  prune_us;                // time spent deciding
    int64_t  prune_prefill_tokens;    // of prompts that were pruned (llmm_prune_params.prefill_keep), since the session
    int64_t  prune_prefill_left_out;  // began; of those: that later layers did not see;
    int64_t  prune_prefill_recalled;  // of these: that a later question brought back;
    int64_t  prune_prefill_shadow;    // that one could bring back now
    int64_t  prune_prefill_us;        // time spent choosing them
    // Gates, since the session began or the last reset.
    int64_t  gate_steps;              // steps of single tokens
    int64_t  gate_skipped_parts;      // parts left out in them
    // Drafts (llmm_generate_params.draft_tokens), since the session began or the last reset.
    int64_t  draft_proposed;          // drafted tokens that were evaluated
    int64_t  draft_accepted;          // of those: that the model chose too
    int64_t  draft_steps;             // that evaluated a draft
} llmm_stats;

LLMM_API llmm_status llmm_session_stats(llmm_session * session, llmm_stats * out);
// Counts tokens, times, gates and drafts from 0 again. What is told of pages and pruning belongs to the session's life and stays.
LLMM_API llmm_status llmm_session_stats_reset(llmm_session * session);

#ifdef __cplusplus
}
#endif

#endif
