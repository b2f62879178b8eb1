#include "json_reader.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace llmm_test {

namespace {

void append_utf8(std::string & out, uint32_t c) {
    if (c < 0x80) {
        out += char(c);
    } else if (c < 0x800) {
        out += char(0xC0 | (c >> 6));
        out += char(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        out += char(0xE0 | (c >> 12));
        out += char(0x80 | ((c >> 6) & 0x3F));
        out += char(0x80 | (c & 0x3F));
    } else {
        out += char(0xF0 | (c >> 18));
        out += char(0x80 | ((c >> 12) & 0x3F));
        out += char(0x80 | ((c >> 6) & 0x3F));
        out += char(0x80 | (c & 0x3F));
    }
}

class reader {
public:
    explicit reader(const std::string & text) : text_(text) {}

    json document() {
        json v = value(0);
        space();
        require(pos_ == text_.size(), "text after the value");
        return v;
    }

private:
    static constexpr int max_depth = 100;

    void require(bool ok, const char * what) const {
        if (!ok) {
            throw std::runtime_error("JSON, byte " + std::to_string(pos_) + ": " + what);
        }
    }

    void space() {
        while (pos_ < text_.size() && std::strchr(" \t\r\n", text_[pos_]) && text_[pos_] != '\0') {
            pos_++;
        }
    }

    char peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }

    void expect(const char * word) {
        const size_t n = std::strlen(word);
        require(text_.compare(pos_, n, word) == 0, "unexpected character");
        pos_ += n;
    }

    json value(int depth) {
        require(depth < max_depth, "nested too deeply");
        space();
        json v;
        switch (peek()) {
            case '{': return object_value(depth);
            case '[': return array_value(depth);
            case '"':
                v.kind = json::string;
                v.text = string_value();
                return v;
            case 't':
                expect("true");
                v.kind = json::boolean;
                v.flag = true;
                return v;
            case 'f':
                expect("false");
                v.kind = json::boolean;
                return v;
            case 'n':
                expect("null");
                return v;
            default: return number_value();
        }
    }

    json number_value() {
        const size_t begin = pos_;
        if (peek() == '-') {
            pos_++;
        }
        require(peek() >= '0' && peek() <= '9', "not a value");
        if (peek() == '0') {
            pos_++;
        } else {
            digits();
        }
        if (peek() == '.') {
            pos_++;
            digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            pos_++;
            if (peek() == '+' || peek() == '-') {
                pos_++;
            }
            digits();
        }
        json v;
        v.kind  = json::number;
        v.value = std::strtod(text_.substr(begin, pos_ - begin).c_str(), nullptr);
        return v;
    }

    void digits() {
        require(peek() >= '0' && peek() <= '9', "digit expected");
        while (peek() >= '0' && peek() <= '9') {
            pos_++;
        }
    }

    uint32_t hex4() {
        require(pos_ + 4 <= text_.size(), "short \\u escape");
        uint32_t c = 0;
        for (int i = 0; i < 4; i++) {
            const char d = text_[pos_++];
            require(std::isxdigit(static_cast<unsigned char>(d)) != 0, "bad \\u escape");
            c = c * 16 + uint32_t(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
        }
        return c;
    }

    std::string string_value() {
        expect("\"");
        std::string out;
        for (;;) {
            require(pos_ < text_.size(), "string without end");
            const char c = text_[pos_++];
            if (c == '"') {
                return out;
            }
            require(static_cast<unsigned char>(c) >= 0x20, "control character in a string");
            if (c != '\\') {
                out += c;
                continue;
            }
            const char e = peek();
            pos_++;
            switch (e) {
                case '"': case '\\': case '/': out += e; break;
                case 'b': out += '\b'; break;
                case 'f': out += '\f'; break;
                case 'n': out += '\n'; break;
                case 'r': out += '\r'; break;
                case 't': out += '\t'; break;
                case 'u': {
                    uint32_t code = hex4();
                    if (code >= 0xD800 && code < 0xDC00) {
                        expect("\\u");
                        const uint32_t low = hex4();
                        require(low >= 0xDC00 && low < 0xE000, "lone surrogate");
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    }
                    require(code < 0xDC00 || code >= 0xE000, "lone surrogate");
                    append_utf8(out, code);
                    break;
                }
                default: require(false, "unknown escape");
            }
        }
    }

    json array_value(int depth) {
        json v;
        v.kind = json::array;
        expect("[");
        space();
        if (peek() == ']') {
            pos_++;
            return v;
        }
        for (;;) {
            v.items.push_back(value(depth + 1));
            space();
            if (peek() == ']') {
                pos_++;
                return v;
            }
            expect(",");
        }
    }

    json object_value(int depth) {
        json v;
        v.kind = json::object;
        expect("{");
        space();
        if (peek() == '}') {
            pos_++;
            return v;
        }
        for (;;) {
            space();
            const std::string key = string_value();
            space();
            expect(":");
            require(v.members.emplace(key, value(depth + 1)).second, "duplicate key");
            space();
            if (peek() == '}') {
                pos_++;
                return v;
            }
            expect(",");
        }
    }

    const std::string & text_;
    size_t              pos_ = 0;
};

}  // namespace

const json & json::operator[](const std::string & key) const {
    static const json absent;
    const auto it = members.find(key);
    return it == members.end() ? absent : it->second;
}

json parse_json(const std::string & text) {
    const size_t bad = find_invalid_utf8(text);
    if (bad != std::string::npos) {
        throw std::runtime_error("JSON, byte " + std::to_string(bad) + ": not UTF-8");
    }
    return reader(text).document();
}

std::string quote(const std::string & text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof(escape), "\\u%04x", unsigned(c));
            out += escape;
        } else {
            out += c;
        }
    }
    return out + '"';
}

size_t find_invalid_utf8(const std::string & text) {
    const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
    size_t i = 0;
    while (i < text.size()) {
        const uint8_t c = byte(i);
        size_t n = 0;
        uint8_t low  = 0x80;   // range of the second byte
        uint8_t high = 0xBF;
        if (c < 0x80) {
            n = 1;
        } else if (c >= 0xC2 && c <= 0xDF) {
            n = 2;
        } else if (c >= 0xE0 && c <= 0xEF) {
            n    = 3;
            low  = c == 0xE0 ? 0xA0 : 0x80;
            high = c == 0xED ? 0x9F : 0xBF;
        } else if (c >= 0xF0 && c <= 0xF4) {
            n    = 4;
            low  = c == 0xF0 ? 0x90 : 0x80;
            high = c == 0xF4 ? 0x8F : 0xBF;
        } else {
            return i;
        }
        for (size_t k = 1; k < n; k++) {
            const uint8_t d = byte(i + k);
            if (i + k >= text.size() || d < (k == 1 ? low : 0x80) || d > (k == 1 ? high : 0xBF)) {
                return i;
            }
        }
        i += n;
    }
    return std::string::npos;
}

}  // namespace llmm_test
