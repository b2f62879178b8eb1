// The file that pages go to: what is written comes back or is reported, whatever the disk does, and nobody else's files
// are touched. Also the checksum that guards it and the faults that test it.
#include "kv/address_space.h"
#include "kv/crc32c.h"
#include "kv/fault.h"
#include "kv/spill_file.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#  include <linux/fs.h>
#  include <sys/ioctl.h>
#  include <sys/mount.h>
#endif

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace llmm_test {
namespace {

using namespace llmm;
namespace fs = std::filesystem;

constexpr page_format formats[] = { page_format::f16, page_format::q4, page_format::q42 };

// What the tests store in a block; another version is other bytes.
std::vector<uint8_t> block_of(const head_shape & s, page_format f, int32_t layer, int32_t head, int32_t page, int version = 0) {
    std::vector<uint8_t> bytes(block_bytes(s, f));
    std::minstd_rand random(1 + (uint32_t) ((((version * 4 + (int) f) * 64 + layer) * 64 + head) * 4096 + page));
    for (uint8_t & b : bytes) {
        b = (uint8_t) (random() >> 8);
    }
    return bytes;
}

struct geometry {
    head_shape shape = { 64, 16 };
    int32_t n_layers = 2;
    int32_t n_heads = 3;
    int32_t n_pages = 20;
};

bool write_page(spill_file & file, const geometry & g, page_format f, int32_t layer, int32_t page, int version = 0) {
    const size_t stride = block_bytes(g.shape, f) + 64;       // blocks of a store are not side by side either
    std::vector<uint8_t> all(stride * g.n_heads);
    for (int32_t h = 0; h < g.n_heads; h++) {
        const std::vector<uint8_t> b = block_of(g.shape, f, layer, h, page, version);
        std::copy(b.begin(), b.end(), all.begin() + h * stride);
    }
    return file.write(f, layer, page, all.data(), stride);
}

// All layers and heads of the pages are as written.
::testing::AssertionResult holds(const spill_file & file, const geometry & g, page_format f, const std::vector<int32_t> & pages,
                                 int version = 0) {
    const size_t n = block_bytes(g.shape, f);
    std::vector<uint8_t> got(pages.size() * n);
    for (int32_t l = 0; l < g.n_layers; l++) {
        for (int32_t h = 0; h < g.n_heads; h++) {
            std::fill(got.begin(), got.end(), 0);
            const int32_t bad = file.read(f, l, h, pages.data(), (int32_t) pages.size(), got.data());
            if (bad != -1) {
                return ::testing::AssertionFailure() << "page " << bad << " of layer " << l << ", head " << h;
            }
            for (size_t i = 0; i < pages.size(); i++) {
                const std::vector<uint8_t> expected = block_of(g.shape, f, l, h, pages[i], version);
                if (std::memcmp(expected.data(), got.data() + i * n, n) != 0) {
                    return ::testing::AssertionFailure() << "other bytes in page " << pages[i];
                }
            }
        }
    }
    return ::testing::AssertionSuccess();
}

std::vector<int32_t> range(int32_t begin, int32_t end) {
    std::vector<int32_t> pages(end - begin);
    std::iota(pages.begin(), pages.end(), begin);
    return pages;
}

// The descriptor of the one spill file of this process, which has no name to open it by.
int descriptor() {
    int found = -1;
    for (int fd = 3; fd < 1024; fd++) {
        struct stat s;
        char magic[8];
        if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && pread(fd, magic, 8, 0) == 8 && std::memcmp(magic, "LLMMSPIL", 8) == 0) {
            EXPECT_EQ(-1, found);
            found = fd;
        }
    }
    EXPECT_NE(-1, found);
    return found;
}

template <class T> T get(int fd, uint64_t at) {
    T value{};
    EXPECT_EQ((ssize_t) sizeof(T), pread(fd, &value, sizeof(T), (off_t) at));
    return value;
}

// Where a block lies, by the header of the file.
off_t block_at(int fd, const geometry & g, page_format f, int32_t layer, int32_t head, int32_t page) {
    const uint64_t entry = 32 + 24 * ((int) f - 1);
    const uint64_t at = get<uint64_t>(fd, entry), run = get<uint64_t>(fd, entry + 8), block = get<uint64_t>(fd, entry + 16);
    return (off_t) (at + (layer * g.n_heads + head) * run + page * block);
}

void flip_bit(int fd, off_t at, int bit) {
    const uint8_t byte = get<uint8_t>(fd, (uint64_t) at) ^ (uint8_t) (1 << bit);
    ASSERT_EQ(1, pwrite(fd, &byte, 1, at));
}

void write_text(const std::string & path, const std::string & text) {
    std::ofstream(path) << text;
}

std::string text_of(const std::string & path) {
    std::ifstream in(path);
    return { std::istreambuf_iterator<char>(in), {} };
}

std::vector<std::string> names_in(const std::string & directory) {
    std::vector<std::string> names;
    for (const auto & e : fs::directory_iterator(directory)) {
        names.push_back(e.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
}

// A process of its own, which does something, says so and waits to be killed.
class child {
public:
    template <class F> explicit child(F body) {
        int ends[2];
        EXPECT_EQ(0, pipe(ends));
        pid_ = fork();
        if (pid_ == 0) {
            const char ok = body() ? 1 : 0;
            (void) !write(ends[1], &ok, 1);
            for (;;) {
                pause();
            }
        }
        close(ends[1]);
        char ok = 0;
        EXPECT_EQ(1, ::read(ends[0], &ok, 1));
        EXPECT_EQ(1, ok);
        close(ends[0]);
    }
    ~child() { die(); }
    child(const child &) = delete;
    child & operator=(const child &) = delete;

    void die() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

private:
    pid_t pid_ = -1;
};

class SpillTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "/llmm-spill-test-XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(pattern.data()));
        directory_ = pattern;
    }
    void TearDown() override { fs::remove_all(directory_); }

    spill_file make(const geometry & g) const { return spill_file(directory_, g.shape, g.n_layers, g.n_heads, g.n_pages); }

    std::string directory_;
};

// ---- contents -------------------------------------------------------------------------------------------------

TEST_F(SpillTest, EveryFormatAndShapeComesBack) {
    for (const head_shape shape : { head_shape{ 16, 16 }, head_shape{ 64, 32 }, head_shape{ 80, 16 }, head_shape{ 256, 64 } }) {
        const geometry g{ shape, 2, 3, 12 };
        spill_file file = make(g);
        for (const page_format f : formats) {
            for (int32_t l = 0; l < g.n_layers; l++) {
                for (int32_t p = 0; p < g.n_pages; p++) {
                    ASSERT_TRUE(write_page(file, g, f, l, p)) << file.error();
                    EXPECT_EQ(f, file.format(l, p));
                }
            }
            file.prefetch(f, 1, 3, 5);
            EXPECT_TRUE(holds(file, g, f, range(0, g.n_pages)));
            EXPECT_TRUE(holds(file, g, f, { 0, 1, 3, 4, 5, 9, 11 }));
            EXPECT_TRUE(holds(file, g, f, { 7 }));
            EXPECT_TRUE(holds(file, g, f, {}));
        }
    }
}

TEST_F(SpillTest, LongRunsComeBack) {
    const geometry g{ { 128, 32 }, 1, 1, 300 };               // 4.9 MB of f16 in a row
    spill_file file = make(g);
    for (int32_t p = 0; p < g.n_pages; p++) {
        ASSERT_TRUE(write_page(file, g, page_format::f16, 0, p));
    }
    EXPECT_TRUE(holds(file, g, page_format::f16, range(0, g.n_pages)));
    std::vector<int32_t> some;
    std::minstd_rand random(3);
    for (int32_t p = 0; p < g.n_pages; p++) {
        if (random() % 8 != 0) {
            some.push_back(p);
        }
    }
    EXPECT_TRUE(holds(file, g, page_format::f16, some));
}

TEST_F(SpillTest, APageIsStoredOnceInALayer) {
    const geometry g;
    spill_file file = make(g);
    std::vector<uint8_t> to(block_bytes(g.shape, page_format::f16) * 3);
    const int32_t pages[] = { 4, 5, 6 };
    EXPECT_EQ(4, file.read(page_format::f16, 0, 0, pages, 3, to.data()));
    for (int32_t l = 0; l < g.n_layers; l++) {
        for (const int32_t p : pages) {
            ASSERT_TRUE(write_page(file, g, page_format::f16, l, p));
        }
        ASSERT_TRUE(write_page(file, g, page_format::q4, l, 6));
    }
    EXPECT_EQ(6, file.read(page_format::f16, 0, 0, pages, 3, to.data()));
    EXPECT_EQ(4, file.read(page_format::q4, 0, 0, pages, 3, to.data()));
    EXPECT_TRUE(holds(file, g, page_format::f16, { 4, 5 }));
    EXPECT_TRUE(holds(file, g, page_format::q4, { 6 }));

    for (int32_t l = 0; l < g.n_layers; l++) {
        ASSERT_TRUE(write_page(file, g, page_format::q4, l, 6, 1));
    }
    EXPECT_TRUE(holds(file, g, page_format::q4, { 6 }, 1));

    file.discard(5, 2);
    EXPECT_EQ(page_format::none, file.format(1, 5));
    EXPECT_EQ(page_format::none, file.format(1, 6));
    EXPECT_EQ(5, file.read(page_format::f16, 1, 2, pages, 3, to.data()));
    EXPECT_TRUE(holds(file, g, page_format::f16, { 4 }));
}

TEST_F(SpillTest, TheTableIsFourBytesPerBlock) {
    const geometry g{ { 64, 32 }, 8, 4, 1000 };
    EXPECT_EQ((size_t) 8 * 1000 * (4 * 4 + 1), make(g).table_bytes());
}

// ---- a disk that lies -----------------------------------------------------------------------------------------

TEST_F(SpillTest, AFlippedBitIsFound) {
    const geometry g;
    spill_file file = make(g);
    for (const page_format f : formats) {
        for (int32_t p = 0; p < g.n_pages; p++) {
            ASSERT_TRUE(write_page(file, g, f, 1, p));
        }
        const int fd = descriptor();
        const std::vector<int32_t> pages = range(0, g.n_pages);
        const size_t n = block_bytes(g.shape, f);
        std::vector<uint8_t> to(g.n_pages * n);
        std::minstd_rand random(7);
        for (int round = 0; round < 50; round++) {
            const int32_t page = (int32_t) (random() % g.n_pages);
            const off_t at = block_at(fd, g, f, 1, 2, page) + (off_t) (random() % n);
            const int bit = (int) (random() % 8);
            flip_bit(fd, at, bit);
            std::fill(to.begin(), to.end(), 0);
            EXPECT_EQ(page, file.read(f, 1, 2, pages.data(), g.n_pages, to.data()));
            for (int32_t p = 0; p < page; p++) {
                EXPECT_EQ(0, std::memcmp(to.data() + p * n, block_of(g.shape, f, 1, 2, p).data(), n));
            }
            EXPECT_EQ(-1, file.read(f, 1, 1, pages.data(), g.n_pages, to.data()));
            flip_bit(fd, at, bit);
            EXPECT_EQ(-1, file.read(f, 1, 2, pages.data(), g.n_pages, to.data()));
        }
    }
}

TEST_F(SpillTest, AnOldBlockInItsPlaceIsFound) {
    const geometry g;
    spill_file file = make(g);
    ASSERT_TRUE(write_page(file, g, page_format::q4, 0, 3));
    ASSERT_TRUE(write_page(file, g, page_format::q4, 0, 3, 1));
    const std::vector<uint8_t> old = block_of(g.shape, page_format::q4, 0, 1, 3);
    const int fd = descriptor();
    ASSERT_EQ((ssize_t) old.size(), pwrite(fd, old.data(), old.size(), block_at(fd, g, page_format::q4, 0, 1, 3)));
    std::vector<uint8_t> to(old.size());
    const int32_t page = 3;
    EXPECT_EQ(3, file.read(page_format::q4, 0, 1, &page, 1, to.data()));
    EXPECT_EQ(-1, file.read(page_format::q4, 0, 0, &page, 1, to.data()));
}

TEST_F(SpillTest, ATruncatedFileIsFound) {
    const geometry g;
    spill_file file = make(g);
    for (int32_t p = 0; p < g.n_pages; p++) {
        ASSERT_TRUE(write_page(file, g, page_format::f16, 0, p));
    }
    const int fd = descriptor();
    const std::vector<int32_t> pages = range(0, g.n_pages);
    std::vector<uint8_t> to(g.n_pages * block_bytes(g.shape, page_format::f16));
    ASSERT_EQ(0, ftruncate(fd, block_at(fd, g, page_format::f16, 0, 2, 11) + 100));
    EXPECT_EQ(11, file.read(page_format::f16, 0, 2, pages.data(), g.n_pages, to.data()));
    EXPECT_EQ(-1, file.read(page_format::f16, 0, 1, pages.data(), g.n_pages, to.data()));
    ASSERT_EQ(0, ftruncate(fd, 0));
    EXPECT_EQ(0, file.read(page_format::f16, 0, 0, pages.data(), g.n_pages, to.data()));
}

TEST_F(SpillTest, FailingReadsNameThePage) {
    const geometry g;
    spill_file file = make(g);
    for (int32_t p = 0; p < g.n_pages; p++) {
        ASSERT_TRUE(write_page(file, g, page_format::q4, 0, p));
    }
    const int32_t scattered[] = { 0, 2, 3, 5, 8 };            // four reads
    std::vector<uint8_t> to(5 * block_bytes(g.shape, page_format::q4));
    for (uint32_t k = 1; k <= 4; k++) {
        const fault::scope failing(fault::point::read, k);
        const int32_t first_of_run[] = { 0, 2, 5, 8 };
        EXPECT_EQ(first_of_run[k - 1], file.read(page_format::q4, 0, 0, scattered, 5, to.data()));
    }
    EXPECT_EQ(-1, file.read(page_format::q4, 0, 0, scattered, 5, to.data()));
}

TEST_F(SpillTest, FailingWritesLeaveTheRest) {
    const geometry g;
    for (uint32_t k = 1; k <= 7; k++) {
        spill_file file = make(g);
        for (int32_t l = 0; l < g.n_layers; l++) {
            for (int32_t p = 0; p < g.n_pages; p++) {
                ASSERT_TRUE(write_page(file, g, page_format::f16, l, p));
            }
        }
        std::vector<int32_t> in_f16, in_q4;
        {
            const fault::scope failing(fault::point::write, k);
            for (int32_t p = 0; p < g.n_pages; p++) {
                // The layers of a page may part; those that failed are still as they were.
                const bool first = write_page(file, g, page_format::q4, 0, p), second = write_page(file, g, page_format::q4, 1, p);
                EXPECT_EQ(first ? page_format::q4 : page_format::f16, file.format(0, p));
                EXPECT_EQ(second ? page_format::q4 : page_format::f16, file.format(1, p));
                if (first && second) {
                    in_q4.push_back(p);
                } else if (!first && !second) {
                    in_f16.push_back(p);
                } else {
                    EXPECT_NE(std::string::npos, file.error().find(directory_));
                    EXPECT_NE(std::string::npos, file.error().find(std::strerror(EIO)));
                }
            }
        }
        EXPECT_EQ(k < 7, in_q4.empty());
        EXPECT_TRUE(holds(file, g, page_format::f16, in_f16));
        EXPECT_TRUE(holds(file, g, page_format::q4, in_q4));

        // In place: no half of it is taken for the whole.
        for (int32_t l = 0; l < g.n_layers; l++) {
            ASSERT_TRUE(write_page(file, g, page_format::q4, l, 1));
            ASSERT_TRUE(write_page(file, g, page_format::q4, l, 2));
        }
        const fault::scope failing(fault::point::write, 2);
        EXPECT_FALSE(write_page(file, g, page_format::q4, 0, 1, 1));
        EXPECT_EQ(page_format::none, file.format(0, 1));
        EXPECT_TRUE(holds(file, g, page_format::q4, { 2 }));
    }
}

TEST_F(SpillTest, AFileThatCannotBeginThrows) {
    const fault::scope failing(fault::point::write, 1);
    EXPECT_THROW(make({}), std::system_error);
    EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(SpillTest, ASizeLimitIsAnErrorAndNoMore) {
    const geometry g;
    spill_file file = make(g);
    for (int32_t p = 0; p < g.n_pages; p++) {
        ASSERT_TRUE(write_page(file, g, page_format::f16, 0, p));
    }
    const off_t limit = block_at(descriptor(), g, page_format::f16, 1, 1, 4) + 1000;      // in the middle of a block
    rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
    const rlimit lower{ (rlim_t) limit, before.rlim_max };
    const auto handler = signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &lower));
    const bool third = write_page(file, g, page_format::f16, 1, 3), fourth = write_page(file, g, page_format::f16, 1, 4);
    const std::string error = file.error();
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    EXPECT_FALSE(third);                                      // its third head lies beyond
    EXPECT_FALSE(fourth);
    EXPECT_NE(std::string::npos, error.find(std::strerror(EFBIG))) << error;
    const std::vector<int32_t> pages = range(0, g.n_pages);
    std::vector<uint8_t> to(g.n_pages * block_bytes(g.shape, page_format::f16));
    for (int32_t h = 0; h < g.n_heads; h++) {
        EXPECT_EQ(-1, file.read(page_format::f16, 0, h, pages.data(), g.n_pages, to.data()));
    }
    EXPECT_EQ(page_format::none, file.format(1, 4));
    EXPECT_TRUE(write_page(file, g, page_format::f16, 1, 4));
}

#if defined(__linux__)
TEST_F(SpillTest, AFullDiskIsAnErrorAndDiscardedPagesMakeRoom) {
    if (mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=1m") != 0) {
        GTEST_SKIP() << "no right to mount";
    }
    {
        const geometry g{ { 128, 32 }, 1, 1, 200 };           // pages of 16 KiB
        spill_file file = make(g);
        int32_t n = 0;
        while (n < g.n_pages && write_page(file, g, page_format::f16, 0, n)) {
            n++;
        }
        EXPECT_GT(n, 40);
        EXPECT_LT(n, 64);
        EXPECT_NE(std::string::npos, file.error().find(std::strerror(ENOSPC))) << file.error();
        EXPECT_TRUE(holds(file, g, page_format::f16, range(0, n)));
        EXPECT_FALSE(write_page(file, g, page_format::f16, 0, 150));
        file.discard(10, 1);
        EXPECT_TRUE(write_page(file, g, page_format::f16, 0, 150)) << file.error();
        EXPECT_TRUE(holds(file, g, page_format::f16, { 0, 9, 11, 150 }));

        // What a failed write got onto the disk does not stay there.
        const uint64_t bytes = file.bytes();
        file.discard(0, 200);
        EXPECT_LT(file.bytes(), bytes);
        const geometry many{ { 128, 32 }, 1, 64, 2 };         // 1 MB for one page
        spill_file other = make(many);
        EXPECT_FALSE(write_page(other, many, page_format::f16, 0, 0));
        EXPECT_LE(other.bytes(), 16384u);
    }
    umount(directory_.c_str());
}

TEST_F(SpillTest, DiscardedPagesLeaveTheDisk) {
    const geometry g{ { 80, 16 }, 2, 2, 50 };                 // blocks of no round size
    spill_file file = make(g);
    const uint64_t empty = file.bytes();
    const auto fill = [&] {
        for (const int32_t p : range(0, g.n_pages)) {
            for (int32_t l = 0; l < g.n_layers; l++) {
                ASSERT_TRUE(write_page(file, g, page_format::q4, l, p));
            }
        }
        ASSERT_GT(file.bytes(), empty + 4 * 50 * block_bytes(g.shape, page_format::q4) - 1);
    };
    fill();
    file.discard(0, g.n_pages);
    EXPECT_EQ(empty, file.bytes());

    fill();
    std::vector<int32_t> order = range(0, g.n_pages);
    std::shuffle(order.begin(), order.end(), std::minstd_rand(5));
    while (!order.empty()) {
        file.discard(order.back(), 1);
        order.pop_back();
        std::vector<int32_t> left = order;
        std::sort(left.begin(), left.end());
        ASSERT_TRUE(holds(file, g, page_format::q4, left));
    }
    EXPECT_EQ(empty, file.bytes());

    fill();
    for (const int32_t p : range(0, g.n_pages)) {             // replaced by another format
        for (int32_t l = 0; l < g.n_layers; l++) {
            ASSERT_TRUE(write_page(file, g, page_format::f16, l, p));
        }
    }
    file.discard(10, 40);
    file.discard(0, 10);
    EXPECT_EQ(empty, file.bytes());
}
#endif

// ---- threads --------------------------------------------------------------------------------------------------

TEST_F(SpillTest, ManyReadWhileOneWritesOtherPages) {
    const geometry g;
    spill_file file = make(g);
    for (int32_t l = 0; l < g.n_layers; l++) {
        for (int32_t p = 0; p < 10; p++) {
            ASSERT_TRUE(write_page(file, g, page_format::q4, l, p));
        }
    }
    std::atomic<int> bad{ 0 };
    std::vector<std::thread> readers;
    for (int t = 0; t < 4; t++) {
        readers.emplace_back([&] {
            for (int round = 0; round < 30; round++) {
                file.prefetch(page_format::q4, round % 2, 0, 10);
                bad += !holds(file, g, page_format::q4, range(0, 10));
                bad += !holds(file, g, page_format::q4, { 1, 4, 5 });
            }
        });
    }
    for (int round = 0; round < 20; round++) {
        for (int32_t p = 10; p < g.n_pages; p++) {
            bad += !write_page(file, g, formats[round % 3], round % 2, p, round);
        }
        file.discard(10 + round % 10, 1);
    }
    for (std::thread & t : readers) {
        t.join();
    }
    EXPECT_EQ(0, bad);
}

// ---- the directory --------------------------------------------------------------------------------------------

TEST_F(SpillTest, NobodyElseCanOpenIt) {
    const std::string nested = directory_ + "/a/b";
    const spill_file file(nested, { 64, 16 }, 1, 1, 1);
    EXPECT_TRUE(fs::is_empty(nested));
    const int fd = descriptor();
    struct stat s;
    ASSERT_EQ(0, fstat(fd, &s));
    EXPECT_EQ(0600u, s.st_mode & 0777u);
    EXPECT_EQ(0u, s.st_nlink);
    EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

TEST_F(SpillTest, TheHeaderSaysWhatTheFileIs) {
    const spill_file file(directory_, { 64, 32 }, 5, 3, 7);
    const int fd = descriptor();
    const uint32_t expected[] = { 1, 64, 32, 5, 3, 7 };
    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(expected[i], get<uint32_t>(fd, 8 + 4 * i));
    }
    uint64_t end = 16384;
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(end, get<uint64_t>(fd, 32 + 24 * i));
        EXPECT_EQ(block_bytes({ 64, 32 }, formats[i]), get<uint64_t>(fd, 32 + 24 * i + 16));
        end += 15 * round_up(7 * block_bytes({ 64, 32 }, formats[i]), 16384);
    }
    uint8_t header[104];
    ASSERT_EQ(104, pread(fd, header, 104, 0));
    EXPECT_EQ(crc32c(header, 104), get<uint32_t>(fd, 104));
}

TEST_F(SpillTest, AKilledProcessLeavesNothing) {
    child process([&] {
        static spill_file file = make({});
        return write_page(file, {}, page_format::f16, 0, 0);
    });
    EXPECT_TRUE(fs::is_empty(directory_));
    process.die();
    EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(SpillTest, ADirectoryThatCannotBeUsedThrows) {
    write_text(directory_ + "/file", "x");
    std::vector<std::string> unusable = { directory_ + "/file", directory_ + "/file/below" };
#if defined(__linux__)
    unusable.push_back("/proc");
    unusable.push_back("/proc/below");
#endif
    if (geteuid() != 0) {
        fs::create_directory(directory_ + "/locked");
        fs::permissions(directory_ + "/locked", fs::perms::owner_read | fs::perms::owner_exec);
        unusable.push_back(directory_ + "/locked");
    }
    for (const std::string & d : unusable) {
        try {
            spill_file(d, { 64, 16 }, 1, 1, 1);
            ADD_FAILURE() << d;
        } catch (const std::system_error & e) {
            EXPECT_NE(std::string::npos, std::string(e.what()).find(d + ": ")) << e.what();
        }
    }
    EXPECT_EQ("x", text_of(directory_ + "/file"));
}

TEST_F(SpillTest, LinksAreNotFollowed) {
    const std::string victim = directory_ + "/victim", inside = directory_ + "/inside";
    write_text(victim, "mine");
    fs::create_directory(inside);
    for (int i = 0; i < 500; i++) {                           // every name that it may try
        const std::string name = inside + "/llmm-spill-" + std::to_string(getpid()) + "-" + std::to_string(i) + ".tmp";
        fs::create_symlink(i % 2 ? victim : directory_ + "/dangling", name);
    }
    const geometry g;
    spill_file file(inside, g.shape, g.n_layers, g.n_heads, g.n_pages);
    EXPECT_TRUE(write_page(file, g, page_format::f16, 0, 0));
    EXPECT_EQ("mine", text_of(victim));
    EXPECT_FALSE(fs::exists(directory_ + "/dangling"));
    EXPECT_EQ(500u, names_in(inside).size());
}

TEST_F(SpillTest, FilesOfTheDeadGoAndThoseOfTheLivingStay) {
    const std::string dead = directory_ + "/llmm-spill-1-0.tmp", live = directory_ + "/llmm-spill-2-0.tmp";
    write_text(dead, "left by a crash");
    for (const char * other : { "notes.txt", "llmm-spill-.tmp", "llmm-spill-1-0.tmp.bak", "my-llmm-spill-1-0.tmp" }) {
        write_text(directory_ + "/" + other, "not ours");
    }
    fs::create_directory(directory_ + "/llmm-spill-3-0.tmp");
    ASSERT_EQ(0, mkfifo((directory_ + "/llmm-spill-4-0.tmp").c_str(), 0600));
    child process([&] {
        const int fd = open(live.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
        return fd >= 0 && flock(fd, LOCK_EX) == 0;
    });
    std::vector<std::string> expected = { "llmm-spill-.tmp",    "llmm-spill-1-0.tmp.bak", "llmm-spill-2-0.tmp", "llmm-spill-3-0.tmp",
                                          "llmm-spill-4-0.tmp", "my-llmm-spill-1-0.tmp",  "notes.txt" };
    make({});
    EXPECT_EQ(expected, names_in(directory_));
    process.die();
    make({});
    expected.erase(expected.begin() + 2);
    EXPECT_EQ(expected, names_in(directory_));
}

#if defined(FS_IOC_SETFLAGS)
// A directory in which files can be made and not removed: what a file system is like that keeps names of open files.
class append_only {
public:
    explicit append_only(const std::string & directory) : fd_(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        ok_ = ioctl(fd_, FS_IOC_GETFLAGS, &flags_) == 0 && set(flags_ | FS_APPEND_FL);
    }
    ~append_only() {
        end();
        close(fd_);
    }
    bool ok() const { return ok_; }
    void end() { ok_ = ok_ && !set(flags_); }

private:
    bool set(int flags) { return ioctl(fd_, FS_IOC_SETFLAGS, &flags) == 0; }

    int fd_, flags_ = 0;
    bool ok_ = false;
};

TEST_F(SpillTest, WhereTheNameMustStayItGoesWithTheFileOrTheNextOne) {
    append_only keeps_names(directory_);
    if (!keeps_names.ok()) {
        GTEST_SKIP() << "no right to set attributes";
    }
    const geometry g;
    child process([&] {
        static spill_file file = make(g);
        return write_page(file, g, page_format::q4, 0, 0);
    });
    {
        spill_file mine = make(g);
        ASSERT_TRUE(write_page(mine, g, page_format::q4, 0, 0));
        ASSERT_EQ(2u, names_in(directory_).size());
        keeps_names.end();
        const spill_file another(directory_, g.shape, 1, 1, 1);        // both are in use
        EXPECT_EQ(2u, names_in(directory_).size());
    }
    EXPECT_EQ(1u, names_in(directory_).size());
    process.die();
    EXPECT_EQ(1u, names_in(directory_).size());
    make(g);
    EXPECT_TRUE(fs::is_empty(directory_));
}
#endif

// ---- faults ---------------------------------------------------------------------------------------------------

TEST(FaultTest, EveryKthFailsUntilTheEndOfTheBlock) {
    {
        const fault::scope failing(fault::point::read, 3);
        for (int i = 1; i <= 9; i++) {
            EXPECT_EQ(i % 3 == 0, fault::due(fault::point::read));
            EXPECT_FALSE(fault::due(fault::point::write));
        }
    }
    EXPECT_FALSE(fault::due(fault::point::read));
}

TEST(FaultTest, MemoryIsRefused) {
    address_space space(1 << 20);
    {
        const fault::scope failing(fault::point::allocate, 2);
        EXPECT_TRUE(space.take(0, 4096));
        EXPECT_FALSE(space.take(4096, 8192));
        EXPECT_TRUE(space.take(4096, 8192));
    }
    EXPECT_TRUE(space.take(8192, 12288));
}

// ---- the checksum ---------------------------------------------------------------------------------------------

TEST(ChecksumTest, VectorsOfRfc3720) {
    std::vector<uint8_t> rising(32), falling(32);
    std::iota(rising.begin(), rising.end(), 0);
    std::copy(rising.rbegin(), rising.rend(), falling.begin());
    const uint8_t read_command[48] = { 0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                                       0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0 };
    for (const auto function : { crc32c, crc32c_portable }) {
        EXPECT_EQ(0x8A9136AAu, function(std::vector<uint8_t>(32, 0).data(), 32, 0));
        EXPECT_EQ(0x62A8AB43u, function(std::vector<uint8_t>(32, 0xFF).data(), 32, 0));
        EXPECT_EQ(0x46DD794Eu, function(rising.data(), 32, 0));
        EXPECT_EQ(0x113FDB5Cu, function(falling.data(), 32, 0));
        EXPECT_EQ(0xD9963A56u, function(read_command, 48, 0));
    }
}

TEST(ChecksumTest, TheInstructionAgreesWithTheTablesAtAnyLengthAndPlace) {
    std::vector<uint8_t> bytes(20000);
    std::minstd_rand random(9);
    for (uint8_t & b : bytes) {
        b = (uint8_t) (random() >> 8);
    }
    for (size_t n = 0; n <= 17000; n += 1 + n / 60) {
        const size_t at = random() % 64;
        const uint32_t before = (uint32_t) random();
        ASSERT_EQ(crc32c_portable(&bytes[at], n, before), crc32c(&bytes[at], n, before)) << n;
    }
}

}  // namespace
}  // namespace llmm_test
