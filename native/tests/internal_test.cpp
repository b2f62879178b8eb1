// Parts with no llama.cpp in them: UTF-8, stop strings, the checksum, files that appear whole, the gate of the cores.
#include "kv/crc32c.h"
#include "session/cpu_gate.h"
#include "session/output_file.h"
#include "session/text_stream.h"
#include "session/utf8.h"

#include "test_support.h"

#include <atomic>
#include <random>
#include <thread>

namespace llmm_test {
namespace {

TEST(Utf8Test, ValidPrefixStopsAtTheFirstBadByte) {
    EXPECT_EQ(0u, llmm::utf8_valid_prefix("", 0));
    const std::string good = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    EXPECT_EQ(good.size(), llmm::utf8_valid_prefix(good.data(), good.size()));
    EXPECT_EQ(3u, llmm::utf8_valid_prefix(good.data(), 5));               // within the euro sign
    for (const std::string bad : { "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\x80" }) {
        EXPECT_EQ(0u, llmm::utf8_valid_prefix(bad.data(), bad.size()));
    }
}

TEST(Utf8Test, AssemblyDoesNotDependOnTheCuts) {
    // Random bytes, so that most sequences are broken: any cutting must give the same text.
    std::mt19937 random(5);
    for (int round = 0; round < 200; round++) {
        std::string bytes;
        for (int i = 0; i < 40; i++) {
            static const unsigned char pool[] = { 'a', 0x80, 0xBF, 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xED, 0xA0, 0xF0, 0x9F, 0x98, 0xF4, 0xFF };
            bytes += (char) pool[random() % sizeof(pool)];
        }
        const std::string whole = llmm::utf8_repair(bytes);
        EXPECT_EQ(whole.size(), llmm::utf8_valid_prefix(whole.data(), whole.size()));
        llmm::utf8_assembler assembler;
        std::string cut;
        for (size_t at = 0; at < bytes.size();) {
            const size_t n = std::min<size_t>(bytes.size() - at, random() % 4);
            assembler.push(bytes.data() + at, n, cut);
            EXPECT_EQ(cut.size(), llmm::utf8_valid_prefix(cut.data(), cut.size()));
            at += n;
        }
        assembler.finish(cut);
        EXPECT_EQ(whole, cut);
    }
}

TEST(TextStreamTest, MatchesANaiveSearchForAnyCuts) {
    std::mt19937 random(6);
    const std::vector<std::string> stops = { "abab", "bb", "\xC3\xA9z" };
    for (int round = 0; round < 500; round++) {
        std::string text;
        for (int i = 0; i < 30; i++) {
            static const char * pool[] = { "a", "b", "a", "c", "\xC3\xA9", "z" };
            text += pool[random() % 6];
        }
        size_t end = text.size();
        for (size_t at = 0; at < text.size() && end == text.size(); at++) {
            // The stop string that is complete first ends the text; of two, the one that begins first.
            size_t begin = std::string::npos;
            for (const auto & stop : stops) {
                const size_t found = text.substr(0, at + 1).find(stop);
                begin = std::min(begin, found);
            }
            if (begin != std::string::npos) {
                end = begin;
            }
        }
        llmm::text_stream stream(stops);
        std::string out;
        bool stopped = false;
        for (size_t at = 0; at < text.size() && !stopped; at++) {
            stopped = stream.push(text.substr(at, 1), out);
        }
        stream.finish(out);
        EXPECT_EQ(text.substr(0, end), out) << text;
    }
}

TEST(Crc32cTest, KnownValuesAndAnyAlignment) {
    EXPECT_EQ(0xE3069283u, llmm::crc32c("123456789", 9));
    EXPECT_EQ(0u, llmm::crc32c("", 0));
    const std::string bytes(1000, 'x');
    const uint32_t whole = llmm::crc32c(bytes.data(), bytes.size());
    for (size_t cut = 0; cut < 40; cut++) {
        EXPECT_EQ(whole, llmm::crc32c(bytes.data() + cut, bytes.size() - cut, llmm::crc32c(bytes.data(), cut)));
    }
}

TEST(OutputFileTest, WithoutCommitTheOldFileStays) {
    const std::string path = temp_path("output");
    write_file(path, "old");
    {
        llmm::output_file out(path);
        out.write("new", 3);
        EXPECT_EQ("old", read_file(path));
    }
    EXPECT_EQ("old", read_file(path));
    llmm::output_file out(path);
    out.write("new", 3);
    out.commit();
    EXPECT_EQ("new", read_file(path));
}

TEST(CpuGateTest, NeverMoreThanItsCoresAndNobodyStarves) {
    llmm::cpu_gate gate(3);
    std::atomic<int> inside{ 0 }, most{ 0 };
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; t++) {
        threads.emplace_back([&, t] {
            const int n = 1 + t % 4;             // 4 counts as all 3
            for (int i = 0; i < 200; i++) {
                ASSERT_TRUE(gate.enter(n, [] { return false; }));
                const int now = inside += std::min(n, 3);
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                inside -= std::min(n, 3);
                gate.leave(n);
            }
        });
    }
    for (auto & thread : threads) {
        thread.join();
    }
    EXPECT_LE(most, 3);
    EXPECT_EQ(0, inside);
}

TEST(CpuGateTest, ACancelledWaiterGivesUpAndTheNextOneEnters) {
    llmm::cpu_gate gate(1);
    ASSERT_TRUE(gate.enter(1, [] { return false; }));
    std::atomic<bool> cancel{ false };
    std::thread waiter([&] { EXPECT_FALSE(gate.enter(1, [&] { return cancel.load(); })); });
    std::thread next([&] {
        EXPECT_TRUE(gate.enter(1, [] { return false; }));
        gate.leave(1);
    });
    cancel = true;
    waiter.join();
    gate.leave(1);
    next.join();
}

}  // namespace
}  // namespace llmm_test
