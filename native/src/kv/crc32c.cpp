#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#  include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#  include <sys/auxv.h>
#endif

namespace llmm {

namespace {

template <size_t n> using tables_t = std::array<std::array<uint32_t, 256>, n>;

// Slicing by eight (Kounavis and Berry, 2005): table k holds the checksum of a byte followed by k zero bytes, so
// eight bytes take eight independent look-ups.
tables_t<8> make_tables() {
    constexpr uint32_t polynomial = 0x82F63B78;       // reversed
    tables_t<8> t{};
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? polynomial : 0);
        }
        t[0][byte] = crc;
    }
    for (size_t k = 1; k < t.size(); k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            t[k][byte] = (t[k - 1][byte] >> 8) ^ t[0][t[k - 1][byte] & 0xFF];
        }
    }
    return t;
}

const tables_t<8> & tables() {
    static const tables_t<8> t = make_tables();
    return t;
}

#if defined(__x86_64__) || defined(__aarch64__)
#  define LLMM_HAVE_CRC_INSTRUCTION 1

// The instruction, on a checksum that is not inverted.
#  if defined(__x86_64__)
#    define LLMM_WITH_CRC __attribute__((target("sse4.2")))

LLMM_WITH_CRC inline uint64_t step(uint64_t crc, uint64_t word) {
    return _mm_crc32_u64(crc, word);
}

LLMM_WITH_CRC inline uint64_t step(uint64_t crc, uint8_t byte) {
    return _mm_crc32_u8((uint32_t) crc, byte);
}

bool has_instruction() {
    return __builtin_cpu_supports("sse4.2");
}
#  else
#    define LLMM_WITH_CRC

// In assembly: compilers disagree on how one function is allowed more than the baseline here.
inline uint64_t step(uint64_t crc, uint64_t word) {
    asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

inline uint64_t step(uint64_t crc, uint8_t byte) {
    asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t) byte));
    return crc;
}

bool has_instruction() {
#    if defined(__linux__)
    constexpr unsigned long crc32 = 1ul << 7;         // HWCAP_CRC32
    return (getauxval(AT_HWCAP) & crc32) != 0;
#    else
    return true;                                      // every arm64 Mac has it
#    endif
}
#  endif

inline uint64_t word_at(const uint8_t * p) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    return word;
}

// What n zero bytes make of a checksum. That is linear: one look-up for each of its four bytes.
class zeros {
public:
    explicit zeros(size_t n) {
        std::array<uint32_t, 32> of_bit;
        for (int bit = 0; bit < 32; bit++) {
            uint32_t crc = 1u << bit;
            for (size_t i = 0; i < n; i++) {
                crc = (crc >> 8) ^ tables()[0][crc & 0xFF];
            }
            of_bit[bit] = crc;
        }
        for (int k = 0; k < 4; k++) {
            for (uint32_t byte = 1; byte < 256; byte++) {
                for (int bit = 0; bit < 8; bit++) {
                    t_[k][byte] ^= byte >> bit & 1 ? of_bit[8 * k + bit] : 0;
                }
            }
        }
    }

    uint32_t after(uint32_t crc) const {
        return t_[0][crc & 0xFF] ^ t_[1][(crc >> 8) & 0xFF] ^ t_[2][(crc >> 16) & 0xFF] ^ t_[3][crc >> 24];
    }

private:
    tables_t<4> t_{};
};

// The instruction takes three cycles and can begin in each: three streams of n bytes side by side keep it busy.
template <size_t n> LLMM_WITH_CRC uint64_t three_streams(const uint8_t *& p, size_t & left, uint64_t crc) {
    static_assert(n % 8 == 0, "streams are whole words");
    static const zeros gap(n);
    for (; left >= 3 * n; left -= 3 * n, p += 3 * n) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < n; i += 8) {
            crc = step(crc, word_at(p + i));
            second = step(second, word_at(p + n + i));
            third = step(third, word_at(p + 2 * n + i));
        }
        crc = gap.after((uint32_t) crc) ^ (uint32_t) second;
        crc = gap.after((uint32_t) crc) ^ (uint32_t) third;
    }
    return crc;
}

LLMM_WITH_CRC uint32_t with_instruction(const uint8_t * p, size_t n, uint32_t before) {
    uint64_t crc = ~before;
    crc = three_streams<1024>(p, n, crc);
    crc = three_streams<128>(p, n, crc);
    for (; n >= 8; n -= 8, p += 8) {
        crc = step(crc, word_at(p));
    }
    for (; n > 0; n--, p++) {
        crc = step(crc, *p);
    }
    return ~(uint32_t) crc;
}
#endif

}  // namespace

uint32_t crc32c(const void * bytes, size_t n, uint32_t crc) {
#if defined(LLMM_HAVE_CRC_INSTRUCTION)
    static const bool fast = has_instruction();
    if (fast) {
        return with_instruction(static_cast<const uint8_t *>(bytes), n, crc);
    }
#endif
    return crc32c_portable(bytes, n, crc);
}

uint32_t crc32c_portable(const void * bytes, size_t n, uint32_t crc) {
    const tables_t<8> & t = tables();
    const auto * p = static_cast<const uint8_t *>(bytes);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low, high;
        std::memcpy(&low, p, 4);
        std::memcpy(&high, p + 4, 4);
        low ^= crc;
        crc = t[7][low & 0xFF] ^ t[6][(low >> 8) & 0xFF] ^ t[5][(low >> 16) & 0xFF] ^ t[4][low >> 24] ^
              t[3][high & 0xFF] ^ t[2][(high >> 8) & 0xFF] ^ t[1][(high >> 16) & 0xFF] ^ t[0][high >> 24];
    }
    for (; n > 0; n--, p++) {
        crc = (crc >> 8) ^ t[0][(crc ^ *p) & 0xFF];
    }
    return ~crc;
}

}  // namespace llmm
