#include "crc32c.h"

#include <array>
#include <cstring>

namespace llmm {

namespace {

// Slicing by eight (Kounavis and Berry, 2005): table k holds the checksum of a byte followed by k zero bytes, so
// eight bytes take eight independent look-ups.
using tables_t = std::array<std::array<uint32_t, 256>, 8>;

tables_t make_tables() {
    constexpr uint32_t polynomial = 0x82F63B78;       // reversed
    tables_t t{};
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

}  // namespace

uint32_t crc32c(const void * bytes, size_t n, uint32_t crc) {
    static const tables_t t = make_tables();
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
