// Saving and loading sessions. docs/session-format.md has the file's layout; the offsets below follow it.
#include "test_support.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#if defined(__unix__)
#  include <csignal>
#  include <sys/resource.h>
#  include <sys/stat.h>
#  include <unistd.h>
#endif

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();
const char * const greedy = "{\"temperature\":0,\"ignore_eos\":true}";

// Fields of the file's header that the tests change.
constexpr size_t version_at      = 8;
constexpr size_t tokens_crc_at   = 56;
constexpr size_t kv_crc_at       = 60;
constexpr size_t header_crc_at   = 68;
constexpr size_t header_bytes    = 72;

struct arch_case {
    tiny_arch arch;
    int32_t   flash;
};

const arch_case all_cases[] = {
    {tiny_arch::llama, LLMM_FLASH_ATTENTION_OFF},  {tiny_arch::llama, LLMM_FLASH_ATTENTION_ON},
    {tiny_arch::gemma3, LLMM_FLASH_ATTENTION_OFF}, {tiny_arch::gemma3, LLMM_FLASH_ATTENTION_ON},
    {tiny_arch::mamba, LLMM_FLASH_ATTENTION_OFF},
};

session_ptr open_case(const arch_case & c) {
    session_options o;
    o.flash_attention = c.flash;
    return new_session(shared_model(c.arch), o);
}

std::vector<float> logits(const session_ptr & session) {
    return logits_of(session.get(), n_vocab);
}

uint32_t crc32c(const char * bytes, size_t n) {
    static const std::vector<uint32_t> table = [] {
        std::vector<uint32_t> t;
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
            }
            t.push_back(crc);
        }
        return t;
    }();
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc = (crc >> 8) ^ table[(crc ^ uint8_t(bytes[i])) & 0xFF];
    }
    return ~crc;
}

template <typename T>
void put(std::string & bytes, size_t at, T value) {
    std::memcpy(&bytes.at(at), &value, sizeof(value));
}

template <typename T>
T get(const std::string & bytes, size_t at) {
    T value;
    std::memcpy(&value, &bytes.at(at), sizeof(value));
    return value;
}

void seal_header(std::string & bytes) {
    put(bytes, header_crc_at, crc32c(bytes.data(), header_crc_at));
}

// What must not change when a call fails.
struct snapshot {
    token_list         tokens;
    std::vector<float> logits;
};

snapshot take(const session_ptr & session) {
    return {history(session.get()), logits(session)};
}

void expect_unchanged(const snapshot & before, const session_ptr & session) {
    EXPECT_EQ(before.tokens, history(session.get()));
    EXPECT_TRUE(same_bits(before.logits, logits(session)));
}

std::string saved_file(const std::string & name, int32_t n_tokens = 60) {
    const std::string path = temp_path(name);
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(n_tokens, 1));
    require_ok(llmm_session_save(session.get(), path.c_str()));
    return path;
}

TEST(State, ContinuingGivesTheSameBits) {
    for (const arch_case & c : all_cases) {
        SCOPED_TRACE("architecture " + std::to_string(int(c.arch)) + ", flash attention " + std::to_string(c.flash));
        const std::string path = temp_path("continue.session");
        const session_ptr original = open_case(c);
        eval(original.get(), random_tokens(70, 1));
        decode(original.get(), new_sampler(shared_model(c.arch), greedy).get(), 5);
        logits(original);   // evaluates the token that was sampled last
        ASSERT_OK(llmm_session_save(original.get(), path.c_str()));
        const session_ptr loaded = open_case(c);
        ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
        EXPECT_EQ(history(original.get()), history(loaded.get()));
        EXPECT_TRUE(same_bits(logits(original), logits(loaded)));
        for (const session_ptr * session : {&original, &loaded}) {
            eval(session->get(), random_tokens(20, 2));
        }
        if (c.arch == tiny_arch::gemma3) {
            // The window's ring begins anew at its first cell: the same keys in another order, so that sums round
            // differently.
            EXPECT_LT(max_difference(logits(original), logits(loaded)), c.flash ? 5e-2 : 2e-3);
            continue;
        }
        EXPECT_TRUE(same_bits(logits(original), logits(loaded)));
        EXPECT_EQ(decode(original.get(), new_sampler(shared_model(c.arch), greedy).get(), 20),
                  decode(loaded.get(), new_sampler(shared_model(c.arch), greedy).get(), 20));
        EXPECT_TRUE(same_bits(logits(original), logits(loaded)));
    }
}

TEST(State, ATokenThatWasNotEvaluatedYetIsKept) {
    const std::string path = temp_path("pending.session");
    const session_ptr original = new_session(shared_llama());
    eval(original.get(), random_tokens(30, 1));
    decode(original.get(), new_sampler(shared_llama(), greedy).get(), 1);
    ASSERT_OK(llmm_session_save(original.get(), path.c_str()));
    const session_ptr loaded = new_session(shared_llama());
    ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
    EXPECT_EQ(history(original.get()), history(loaded.get()));
    EXPECT_TRUE(same_bits(logits(original), logits(loaded)));
}

TEST(State, SavingChangesNothing) {
    const session_ptr a = new_session(shared_llama());
    const session_ptr b = new_session(shared_llama());
    for (const session_ptr * session : {&a, &b}) {
        eval(session->get(), random_tokens(30, 1));
    }
    ASSERT_OK(llmm_session_save(a.get(), temp_path("unchanged.session").c_str()));
    EXPECT_TRUE(same_bits(logits(b), logits(a)));
    for (const session_ptr * session : {&a, &b}) {
        eval(session->get(), random_tokens(10, 2));
    }
    EXPECT_TRUE(same_bits(logits(b), logits(a)));
}

TEST(State, LoadReplacesWhatWasThere) {
    const std::string path = saved_file("replace.session");
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(200, 9));
    ASSERT_OK(llmm_session_load(session.get(), path.c_str()));
    EXPECT_EQ(random_tokens(60, 1), history(session.get()));
    const session_ptr fresh = new_session(shared_llama());
    eval(fresh.get(), random_tokens(60, 1));
    eval(fresh.get(), random_tokens(10, 2));
    eval(session.get(), random_tokens(10, 2));
    EXPECT_TRUE(same_bits(logits(fresh), logits(session)));
}

TEST(State, EmptySessionsCanBeSaved) {
    const std::string path = temp_path("empty.session");
    const session_ptr empty = new_session(shared_llama());
    ASSERT_OK(llmm_session_save(empty.get(), path.c_str()));
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    ASSERT_OK(llmm_session_load(session.get(), path.c_str()));
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
    std::vector<float> out(static_cast<size_t>(n_vocab));
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, llmm_session_logits(session.get(), out.data(), n_vocab));
}

TEST(State, SmallerContextIsEnoughIfTheHistoryFits) {
    const std::string path = saved_file("fits.session", 100);
    session_options o;
    o.n_ctx = 256;
    const session_ptr session = new_session(shared_llama(), o);
    const llmm_status status = llmm_session_load(session.get(), path.c_str());
    if (status == LLMM_OK) {
        EXPECT_EQ(100, llmm_session_n_tokens(session.get()));
    } else {
        EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, status);
    }
}

TEST(State, HistoryLargerThanTheContextIsAMismatch) {
    const std::string path = saved_file("large.session", 400);
    session_options o;
    o.n_ctx = 256;
    const session_ptr session = new_session(shared_llama(), o);
    eval(session.get(), random_tokens(20, 5));
    const snapshot before = take(session);
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, llmm_session_load(session.get(), path.c_str()));
    expect_unchanged(before, session);
}

TEST(State, OtherModelIsAMismatch) {
    const std::string path = saved_file("other.session");
    for (llmm_model * other : {shared_gemma(), shared_model(tiny_arch::llama, tiny_weights::f32, 2),
                               shared_model(tiny_arch::llama, tiny_weights::f16)}) {
        const session_ptr session = new_session(other);
        eval(session.get(), random_tokens(20, 5));
        const snapshot before = take(session);
        EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, llmm_session_load(session.get(), path.c_str()));
        expect_unchanged(before, session);
    }
}

TEST(State, SameModelFromAnotherPathIsNoMismatch) {
    const std::string path = saved_file("moved.session");
    const std::string copy = temp_path("moved-model.gguf");
    write_file(copy, read_file(shared_path(tiny_arch::llama)));
    const model_ptr model = open_model(copy);
    const session_ptr session = new_session(model.get());
    ASSERT_OK(llmm_session_load(session.get(), path.c_str()));
    EXPECT_EQ(60, llmm_session_n_tokens(session.get()));
}

TEST(State, OtherAttentionKernelLoadsToo) {
    // Flash attention keeps its values in another layout: whatever is done about it, the history must be right.
    constexpr double tolerance = 0.05;   // flash attention accumulates in f16
    for (const tiny_arch arch : {tiny_arch::llama, tiny_arch::gemma3}) {
        const std::string path = temp_path("kernel.session");
        const session_ptr plain = open_case({arch, LLMM_FLASH_ATTENTION_OFF});
        eval(plain.get(), random_tokens(60, 1));
        ASSERT_OK(llmm_session_save(plain.get(), path.c_str()));
        const session_ptr flash = open_case({arch, LLMM_FLASH_ATTENTION_ON});
        ASSERT_OK(llmm_session_load(flash.get(), path.c_str()));
        for (const session_ptr * session : {&plain, &flash}) {
            eval(session->get(), random_tokens(5, 2));
        }
        EXPECT_LT(max_difference(logits(plain), logits(flash)), tolerance);
    }
}

TEST(State, AdaptersInForceBelongToTheState) {
    const std::string adapter_path = temp_path("state-adapter.gguf");
    write_tiny_adapter(adapter_path, options_of(tiny_arch::llama), 1.0f);
    llmm_adapter * raw = nullptr;
    ASSERT_OK(llmm_adapter_open(shared_llama(), adapter_path.c_str(), nullptr, &raw));
    const adapter_ptr adapter(raw);
    const float scale = 1.0f;
    const session_ptr adapted = new_session(shared_llama());
    ASSERT_OK(llmm_session_set_adapters(adapted.get(), &raw, &scale, 1));
    eval(adapted.get(), random_tokens(20, 1));
    const std::string path = temp_path("adapted.session");
    ASSERT_OK(llmm_session_save(adapted.get(), path.c_str()));
    // Without the adapter the keys and values are wrong: refused, or computed again, but never used as they are.
    const session_ptr plain = new_session(shared_llama());
    const llmm_status status = llmm_session_load(plain.get(), path.c_str());
    if (status == LLMM_OK) {
        const session_ptr fresh = new_session(shared_llama());
        eval(fresh.get(), random_tokens(20, 1));
        eval(fresh.get(), random_tokens(3, 2));
        eval(plain.get(), random_tokens(3, 2));
        EXPECT_LT(max_difference(logits(fresh), logits(plain)), 2e-3);
    } else {
        EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, status);
    }
    const session_ptr same = new_session(shared_llama());
    ASSERT_OK(llmm_session_set_adapters(same.get(), &raw, &scale, 1));
    ASSERT_OK(llmm_session_load(same.get(), path.c_str()));
    EXPECT_TRUE(same_bits(logits(adapted), logits(same)));
}

// ---- damage ---------------------------------------------------------------------------------------------------

class StateDamage : public ::testing::Test {
protected:
    void SetUp() override {
        sound_ = read_file(saved_file("sound.session"));
        session_ = new_session(shared_llama());
        eval(session_.get(), random_tokens(25, 5));
        before_ = take(session_);
    }

    // Loads these bytes. Failure must leave the session as it was.
    llmm_status load(const std::string & bytes) {
        const std::string path = temp_path("damaged.session");
        write_file(path, bytes);
        const llmm_status status = llmm_session_load(session_.get(), path.c_str());
        if (status != LLMM_OK) {
            expect_unchanged(before_, session_);
        }
        return status;
    }

    std::string sound_;
    session_ptr session_;
    snapshot    before_;
};

TEST_F(StateDamage, FlippedByteAnywhere) {
    for (size_t i = 0; i < 64; i++) {
        for (const uint8_t mask : {uint8_t(0x01), uint8_t(0x80), uint8_t(0xFF)}) {
            std::string bytes = sound_;
            bytes[i * sound_.size() / 64] = char(bytes[i * sound_.size() / 64] ^ mask);
            EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(bytes)) << "piece " << i;
        }
    }
}

TEST_F(StateDamage, FlippedByteInTheHeader) {
    for (size_t at = 0; at < header_bytes; at++) {
        std::string bytes = sound_;
        bytes[at] = char(bytes[at] ^ 0x10);
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(bytes)) << "byte " << at;
    }
}

TEST_F(StateDamage, CutAnywhere) {
    for (size_t i = 0; i < 64; i++) {
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(sound_.substr(0, i * sound_.size() / 64))) << "piece " << i;
    }
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(sound_.substr(0, sound_.size() - 1)));
}

TEST_F(StateDamage, Extended) {
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(sound_ + '\0'));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(sound_ + sound_));
}

TEST_F(StateDamage, SwappedHalves) {
    const size_t half = sound_.size() / 2;
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(sound_.substr(half) + sound_.substr(0, half)));
}

TEST_F(StateDamage, OtherKindsOfFiles) {
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(""));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load("not a session"));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(std::string(100000, '\0')));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(read_file(shared_path(tiny_arch::llama))));
}

TEST_F(StateDamage, UnknownVersions) {
    for (const uint32_t version : {0u, 2u, 99u, 0xFFFFFFFFu}) {
        std::string bytes = sound_;
        put(bytes, version_at, version);
        seal_header(bytes);
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load(bytes));
        EXPECT_TRUE(text_contains(last_error(), "version"));
    }
}

TEST_F(StateDamage, SoundFileStillLoadsAfterwards) {
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, load("broken"));
    EXPECT_OK(load(sound_));
    EXPECT_EQ(random_tokens(60, 1), history(session_.get()));
}

TEST_F(StateDamage, ExampleOfTheFormatDocumentIsASoundFileOfAnotherModel) {
    const char * const hex =
        "4c4c4d4d53455353" "01000000" "00000000" "00000000" "00000000" "0000000000000000" "0000000000000000"
        "30313233343536373839616263646566" "00000000" "00000000" "00000000" "9da3414c";
    std::string bytes;
    for (const char * p = hex; *p; p += 2) {
        bytes += char(std::stoi(std::string(p, 2), nullptr, 16));
    }
    ASSERT_EQ(header_bytes, bytes.size());
    EXPECT_EQ(get<uint32_t>(bytes, header_crc_at), crc32c(bytes.data(), header_crc_at));
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, load(bytes));
    EXPECT_TRUE(text_contains(last_error(), "0123456789abcdef"));
}

// Checksums find accidents. A file whose checksums fit and whose content does not must not stop the process either.
TEST_F(StateDamage, SealedNonsenseInTheHeaderIsSurvived) {
    for (size_t at = version_at + 4; at < tokens_crc_at; at += 4) {
        for (const uint32_t value : {0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 1000000u}) {
            std::string bytes = sound_;
            put(bytes, at, value);
            seal_header(bytes);
            const llmm_status status = load(bytes);
            EXPECT_TRUE(status == LLMM_OK || status == LLMM_ERR_STATE_INVALID || status == LLMM_ERR_STATE_MISMATCH)
                << "offset " << at << " = " << value << ": " << llmm_status_name(status) << ", " << last_error();
            if (status == LLMM_OK) {
                SetUp();
            }
        }
    }
}

TEST_F(StateDamage, SealedNonsenseInTheTokensIsRefused) {
    for (const int32_t token : {-1, n_vocab, INT32_MAX, INT32_MIN}) {
        std::string bytes = sound_;
        put(bytes, header_bytes + 4 * 10, token);
        const uint32_t n_tokens = get<uint32_t>(bytes, 12);
        put(bytes, tokens_crc_at, crc32c(&bytes[header_bytes], 4 * size_t(n_tokens)));
        seal_header(bytes);
        EXPECT_NE(LLMM_OK, load(bytes));
    }
}

class SealedCells : public StateDamage {
protected:
    void SetUp() override {
        StateDamage::SetUp();
        const uint32_t n_tokens = get<uint32_t>(sound_, 12);
        kv_bytes_ = size_t(get<uint64_t>(sound_, 24));
        kv_at_    = header_bytes + 4 * size_t(n_tokens);
        ASSERT_LE(kv_at_ + kv_bytes_, sound_.size());
    }

    // Loads a file whose checksums fit its changed keys and values, and goes on with what comes of it.
    void try_sealed(std::string bytes) {
        put(bytes, kv_crc_at, crc32c(&bytes[kv_at_], kv_bytes_));
        seal_header(bytes);
        const std::string path = temp_path("sealed.session");
        write_file(path, bytes);
        const session_ptr session = new_session(shared_llama());
        eval(session.get(), random_tokens(7, 3));
        const llmm_status status = llmm_session_load(session.get(), path.c_str());
        if (status == LLMM_OK) {
            EXPECT_EQ(60, llmm_session_n_tokens(session.get()));
        } else {
            EXPECT_STATUS(LLMM_ERR_STATE_INVALID, status);
            EXPECT_EQ(random_tokens(7, 3), history(session.get())) << "a refused file changes nothing";
        }
        const token_list more = random_tokens(3, 1);
        const llmm_status next = llmm_session_eval(session.get(), more.data(), 3, nullptr, nullptr);
        EXPECT_TRUE(next == LLMM_OK || !last_error().empty());
    }

    size_t kv_at_    = 0;
    size_t kv_bytes_ = 0;
};

TEST_F(SealedCells, NonsenseInTheRecordsIsSurvived) {
    // The largest value is no more than what would show: believed as a number of cells, it takes hundreds of
    // megabytes. (Larger ones took all there was, and the system ended the process.)
    constexpr uint32_t many_cells = 30000000;
    uint64_t rss         = 0;
    uint64_t peak_before = 0;
    uint64_t peak_after  = 0;
#if defined(__linux__)
    std::ofstream("/proc/self/clear_refs") << "5";   // the peak begins anew at what is resident now
#endif
    ASSERT_OK(llmm_process_memory(&rss, &peak_before));
    for (size_t word = 0; word < 40; word++) {
        for (const uint32_t value : {0u, 1u, 2u, 61u, many_cells}) {
            SCOPED_TRACE("word " + std::to_string(word) + " = " + std::to_string(value));
            std::string bytes = sound_;
            put(bytes, kv_at_ + 4 * word, value);
            try_sealed(std::move(bytes));
        }
    }
    ASSERT_OK(llmm_process_memory(&rss, &peak_after));
    EXPECT_LT(peak_after, peak_before + (uint64_t(150) << 20)) << "a number in a file was believed";
}

TEST_F(SealedCells, FlippedBytesAreSurvived) {
    uint64_t state = 17;
    const auto random = [&](size_t n) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return size_t((state >> 33) % n);
    };
    for (int i = 0; i < rounds(150); i++) {
        std::string bytes = sound_;
        // The records about the cells stand in front; the numbers behind them may be anything.
        const size_t at = kv_at_ + (random(4) ? random(1200) : random(kv_bytes_));
        bytes[at] = char(random(2) ? bytes[at] ^ char(1 << random(8)) : char(random(256)));
        try_sealed(std::move(bytes));
    }
}

// ---- files ----------------------------------------------------------------------------------------------------

TEST(StateFile, MissingFilesAndFolders) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    const snapshot before = take(session);
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_load(session.get(), temp_path("nowhere.session").c_str()));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_load(session.get(), temp_path("").c_str()));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), temp_path("no/such/folder/x.session").c_str()));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), temp_path("").c_str()));
    expect_unchanged(before, session);
}

TEST(StateFile, SaveReplacesTheOldFile) {
    const std::string path = saved_file("replaced.session");
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(10, 9));
    ASSERT_OK(llmm_session_save(session.get(), path.c_str()));
    const session_ptr loaded = new_session(shared_llama());
    ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
    EXPECT_EQ(random_tokens(10, 9), history(loaded.get()));
}

std::vector<std::string> files_in(const std::string & folder) {
    std::vector<std::string> names;
    for (const auto & entry : std::filesystem::directory_iterator(folder)) {
        names.push_back(entry.path().filename().string());
    }
    return names;
}

TEST(StateFile, NoTemporaryFilesAreLeft) {
    const std::string folder = temp_path("alone");
    std::filesystem::create_directory(folder);
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(llmm_session_save(session.get(), (folder + "/only.session").c_str()));
    }
    EXPECT_EQ(std::vector<std::string>{"only.session"}, files_in(folder));
}

TEST(StateFile, RenameThatFailsLeavesNothingBehind) {
    // The target is a folder: everything works but the last step.
    const std::string folder = temp_path("target");
    std::filesystem::create_directories(folder + "/x.session");
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), (folder + "/x.session").c_str()));
    EXPECT_EQ(std::vector<std::string>{"x.session"}, files_in(folder));
}

TEST(StateFile, PathsMayBeAnyUtf8) {
    const std::string path = temp_path("sess\xC3\xA3o \xF0\x9F\x98\x80.session");
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    ASSERT_OK(llmm_session_save(session.get(), path.c_str()));
    EXPECT_OK(llmm_session_load(session.get(), path.c_str()));
}

#if defined(__unix__)

// Lets no file of this process grow beyond a size: writing more fails as on a full disk, with another errno.
class file_size_limit {
public:
    explicit file_size_limit(rlim_t n_bytes) {
        getrlimit(RLIMIT_FSIZE, &old_);
        handler_ = std::signal(SIGXFSZ, SIG_IGN);
        rlimit limit = old_;
        limit.rlim_cur = n_bytes;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~file_size_limit() {
        setrlimit(RLIMIT_FSIZE, &old_);
        std::signal(SIGXFSZ, handler_);
    }

private:
    rlimit old_ = {};
    void (*handler_)(int) = nullptr;
};

TEST(StateFile, FullDiskLeavesTheOldFile) {
    const std::string folder = temp_path("full");
    std::filesystem::create_directory(folder);
    const std::string path = folder + "/x.session";
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(60, 1));
    ASSERT_OK(llmm_session_save(session.get(), path.c_str()));
    const std::string old = read_file(path);
    eval(session.get(), random_tokens(100, 2));
    const snapshot before = take(session);
    for (const rlim_t limit : {rlim_t(0), rlim_t(10), rlim_t(header_bytes), rlim_t(1000), rlim_t(old.size())}) {
        {
            const file_size_limit full(limit);
            EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), path.c_str()));
        }
        EXPECT_EQ(old, read_file(path));
        EXPECT_EQ(std::vector<std::string>{"x.session"}, files_in(folder));
        expect_unchanged(before, session);
    }
    ASSERT_OK(llmm_session_save(session.get(), path.c_str()));
    EXPECT_NE(old, read_file(path));
}

TEST(StateFile, FullDeviceIsAnIoError) {
    if (access("/dev/full", W_OK) != 0) {
        GTEST_SKIP() << "no /dev/full";
    }
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), "/dev/full/x.session"));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_load(session.get(), "/dev/full"));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_load(session.get(), "/dev/null"));
}

TEST(StateFile, FolderWithoutPermission) {
    if (geteuid() == 0) {
        GTEST_SKIP() << "root may write anywhere";
    }
    const std::string folder = temp_path("locked");
    std::filesystem::create_directory(folder);
    chmod(folder.c_str(), 0500);
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(20, 1));
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_save(session.get(), (folder + "/x.session").c_str()));
    chmod(folder.c_str(), 0700);
}

#endif

}  // namespace
}  // namespace llmm_test
