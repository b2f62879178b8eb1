#include "gguf_file.h"

#include "failure.h"
#include "utf8.h"

#include "ggml.h"
#include "gguf.h"

#include <sys/stat.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <unordered_set>

namespace llmm {

namespace {

using json = nlohmann::ordered_json;

// An adapter's own metadata: the fingerprint of the model that it corrects.
constexpr const char * key_base_fingerprint = "llmm.base.fingerprint";

constexpr uint64_t max_key_bytes = 65535;
constexpr uint64_t max_tensor_name_bytes = GGML_MAX_NAME - 1;

// Reads little-endian values and never past the end of the file.
class reader {
public:
    reader(const std::string & path, uint64_t size) : in_(path, std::ios::binary), left_(size) {
        if (!in_) {
            fail(LLMM_ERR_IO, "cannot open %s: %s", path.c_str(), std::strerror(errno));
        }
    }

    template <typename T>
    T number(const char * what) {
        T value;
        bytes(&value, sizeof(value), what);
        return value;
    }

    std::string text(const char * what, uint64_t limit = std::numeric_limits<uint64_t>::max()) {
        const auto n = number<uint64_t>(what);
        if (n > left_ || n > limit) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s claims a length of %llu bytes", what, (unsigned long long) n);
        }
        std::string value(n, 0);
        bytes(&value[0], n, what);
        return value;
    }

    void skip(uint64_t n, const char * what) {
        take(n, what);
        in_.seekg((std::streamoff) n, std::ios::cur);
    }

    uint64_t left() const { return left_; }

private:
    void bytes(void * to, uint64_t n, const char * what) {
        take(n, what);
        if (!in_.read(static_cast<char *>(to), (std::streamsize) n)) {
            fail(LLMM_ERR_IO, "reading %s failed: %s", what, std::strerror(errno));
        }
    }

    void take(uint64_t n, const char * what) {
        if (n > left_) {
            fail(LLMM_ERR_MODEL_INVALID, "truncated GGUF: the file ends within %s", what);
        }
        left_ -= n;
    }

    std::ifstream in_;
    uint64_t left_;
};

uint64_t fixed_size(int32_t type) {
    switch (type) {
        case GGUF_TYPE_UINT8: case GGUF_TYPE_INT8: case GGUF_TYPE_BOOL:       return 1;
        case GGUF_TYPE_UINT16: case GGUF_TYPE_INT16:                          return 2;
        case GGUF_TYPE_UINT32: case GGUF_TYPE_INT32: case GGUF_TYPE_FLOAT32:  return 4;
        case GGUF_TYPE_UINT64: case GGUF_TYPE_INT64: case GGUF_TYPE_FLOAT64:  return 8;
        default:                                                              return 0;
    }
}

json scalar(reader & in, int32_t type, const char * what) {
    switch (type) {
        case GGUF_TYPE_UINT8:   return in.number<uint8_t>(what);
        case GGUF_TYPE_INT8:    return in.number<int8_t>(what);
        case GGUF_TYPE_UINT16:  return in.number<uint16_t>(what);
        case GGUF_TYPE_INT16:   return in.number<int16_t>(what);
        case GGUF_TYPE_UINT32:  return in.number<uint32_t>(what);
        case GGUF_TYPE_INT32:   return in.number<int32_t>(what);
        case GGUF_TYPE_FLOAT32: return in.number<float>(what);
        case GGUF_TYPE_BOOL:    return in.number<int8_t>(what) != 0;
        case GGUF_TYPE_UINT64:  return in.number<uint64_t>(what);
        case GGUF_TYPE_INT64:   return in.number<int64_t>(what);
        case GGUF_TYPE_FLOAT64: return in.number<double>(what);
        case GGUF_TYPE_STRING:  return utf8_repair(in.text(what));
        default:
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s has the unknown value type %d", what, type);
    }
}

json value(reader & in, const std::string & key, int32_t & type) {
    const char * what = key.c_str();
    type = in.number<int32_t>(what);
    if (type != GGUF_TYPE_ARRAY) {
        return scalar(in, type, what);
    }
    const auto element = in.number<int32_t>(what);
    const auto n = in.number<uint64_t>(what);
    const uint64_t least = element == GGUF_TYPE_STRING ? sizeof(uint64_t) : fixed_size(element);
    if (least == 0) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s has the unknown element type %d", what, element);
    }
    if (n > in.left() / least) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s claims %llu elements, more than the file holds", what,
             (unsigned long long) n);
    }
    if (n <= gguf_file::array_shown) {
        json array = json::array();
        for (uint64_t i = 0; i < n; i++) {
            array.push_back(scalar(in, element, what));
        }
        return array;
    }
    if (element == GGUF_TYPE_STRING) {
        for (uint64_t i = 0; i < n; i++) {
            in.skip(in.number<uint64_t>(what), what);
        }
    } else {
        in.skip(n * least, what);
    }
    return json{ { "type", gguf_type_name((gguf_type) element) }, { "length", n } };
}

gguf_tensor tensor_info(reader & in) {
    gguf_tensor t;
    t.name = in.text("a tensor's name", max_tensor_name_bytes);
    const char * name = t.name.c_str();
    const auto n_dims = in.number<uint32_t>(name);
    if (n_dims > GGML_MAX_DIMS) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: tensor %s has %u dimensions, at most %d are possible", name, n_dims, GGML_MAX_DIMS);
    }
    int64_t elements = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        const auto extent = in.number<int64_t>(name);
        if (extent < 1 || elements > INT64_MAX / 64 / extent) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: tensor %s has an impossible shape", name);
        }
        t.shape.push_back(extent);
        elements *= extent;
    }
    t.type = in.number<int32_t>(name);
    if (t.type < 0 || t.type >= GGML_TYPE_COUNT || ggml_blck_size((ggml_type) t.type) == 0 || ggml_type_size((ggml_type) t.type) == 0) {
        fail(LLMM_ERR_MODEL_UNSUPPORTED, "tensor %s has type %d, which this version does not know", name, t.type);
    }
    const int64_t block = ggml_blck_size((ggml_type) t.type);
    if (!t.shape.empty() && t.shape[0] % block != 0) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: the rows of tensor %s are not whole blocks of %s", name,
             ggml_type_name((ggml_type) t.type));
    }
    t.size_bytes = (uint64_t) (elements / block) * ggml_type_size((ggml_type) t.type);
    t.offset = in.number<uint64_t>(name);
    return t;
}

bool ends_with(const std::string & text, const char * end) {
    const size_t n = std::strlen(end);
    return text.size() >= n && text.compare(text.size() - n, n, end) == 0;
}

// llama.cpp computes with norms and biases in f32 and with weights in a floating or quantised type; it finds others
// out in the middle of a step, where it can only end the process.
void check_tensor_type(const gguf_tensor & t) {
    const bool vector = t.shape.size() <= 1;
    const bool integers = t.type == GGML_TYPE_I8 || t.type == GGML_TYPE_I16 || t.type == GGML_TYPE_I32 ||
                          t.type == GGML_TYPE_I64 || t.type == GGML_TYPE_F64;
    const bool wrong = vector ? (ends_with(t.name, "norm.weight") || ends_with(t.name, ".bias")) && t.type != GGML_TYPE_F32
                              : ends_with(t.name, ".weight") && t.name.find("tid2eid") == std::string::npos && integers;
    if (wrong) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: tensor %s has type %s", t.name.c_str(), ggml_type_name((ggml_type) t.type));
    }
}

uint64_t regular_file_size(const std::string & path) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
        const int error = errno;
        fail(error == ENOENT || error == ENOTDIR ? LLMM_ERR_MODEL_NOT_FOUND : LLMM_ERR_IO, "%s: %s", path.c_str(),
             std::strerror(error));
    }
    if (S_ISDIR(st.st_mode)) {
        fail(LLMM_ERR_MODEL_NOT_FOUND, "%s is a directory; name a GGUF file in it", path.c_str());
    }
    if (!S_ISREG(st.st_mode)) {
        fail(LLMM_ERR_MODEL_NOT_FOUND, "%s is not a regular file", path.c_str());
    }
    return (uint64_t) st.st_size;
}

}  // namespace

gguf_file gguf_file::read(const std::string & path) {
    gguf_file file;
    file.size_bytes = regular_file_size(path);
    if (file.size_bytes == 0) {
        fail(LLMM_ERR_MODEL_INVALID, "%s is empty", path.c_str());
    }
    reader in(path, file.size_bytes);
    char magic[4];
    for (char & c : magic) {
        c = in.number<char>("the magic");
    }
    if (std::memcmp(magic, GGUF_MAGIC, 4) != 0) {
        fail(LLMM_ERR_MODEL_INVALID, "%s is not a GGUF file: it does not begin with \"GGUF\"", path.c_str());
    }
    file.version = in.number<uint32_t>("the version");
    if (file.version < 2 || file.version > GGUF_VERSION) {
        const bool swapped = (file.version & 0xFFFFFF) == 0 && file.version != 0;
        const bool plausible = swapped || (file.version > 0 && file.version < 100);
        fail(plausible ? LLMM_ERR_MODEL_UNSUPPORTED : LLMM_ERR_MODEL_INVALID, "%s has GGUF version %u%s; versions 2 and 3 are supported",
             path.c_str(), file.version, swapped ? " (a big-endian file?)" : "");
    }
    const auto n_tensors = in.number<uint64_t>("the tensor count");
    const auto n_keys = in.number<uint64_t>("the metadata count");
    // A key takes at least 13 bytes and a tensor 25, so absurd counts show before anything is read for them.
    if (n_keys > in.left() / 13 || n_tensors > in.left() / 25) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %llu tensors and %llu metadata keys do not fit %llu bytes",
             (unsigned long long) n_tensors, (unsigned long long) n_keys, (unsigned long long) file.size_bytes);
    }

    file.metadata = json::object();
    std::unordered_set<std::string> keys;
    for (uint64_t i = 0; i < n_keys; i++) {
        const std::string key = in.text("a metadata key", max_key_bytes);
        if (!keys.insert(key).second) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: the key %s stands twice", utf8_repair(key).c_str());
        }
        file.metadata[utf8_repair(key)] = value(in, key, file.types[key]);
    }
    uint64_t alignment = GGUF_DEFAULT_ALIGNMENT;
    if (file.metadata.contains(GGUF_KEY_GENERAL_ALIGNMENT)) {
        const auto & a = file.metadata[GGUF_KEY_GENERAL_ALIGNMENT];
        alignment = a.is_number_unsigned() ? a.get<uint64_t>() : 0;
        if (alignment == 0 || alignment > (1u << 20) || (alignment & (alignment - 1)) != 0) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: the alignment is not a power of two");
        }
    }

    std::unordered_set<std::string> names;
    for (uint64_t i = 0; i < n_tensors; i++) {
        file.tensors.push_back(tensor_info(in));
        if (!names.insert(file.tensors.back().name).second) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: the tensor %s stands twice", file.tensors.back().name.c_str());
        }
    }
    const uint64_t header = file.size_bytes - in.left();
    file.data_offset = (header + alignment - 1) / alignment * alignment;
    for (const auto & t : file.tensors) {
        const uint64_t room = file.size_bytes > file.data_offset ? file.size_bytes - file.data_offset : 0;
        if (t.offset % alignment != 0) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: tensor %s is not aligned", t.name.c_str());
        }
        if (t.offset > room || t.size_bytes > room - t.offset) {
            fail(LLMM_ERR_MODEL_INVALID, "truncated GGUF: tensor %s ends at byte %llu, the file at %llu", t.name.c_str(),
                 (unsigned long long) (file.data_offset + t.offset + t.size_bytes), (unsigned long long) file.size_bytes);
        }
    }
    return file;
}

void gguf_file::check_model() const {
    const auto arch = metadata.find("general.architecture");
    if (arch == metadata.end() || !arch->is_string()) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: general.architecture is missing, so this is no model");
    }
    const auto type = metadata.find("general.type");
    if (type != metadata.end() && type->is_string() && type->get<std::string>() == "adapter") {
        fail(LLMM_ERR_MODEL_INVALID, "this file is a LoRA adapter, not a model");
    }
    const std::string prefix = arch->get<std::string>() + ".";
    // llama.cpp divides by some of these and sizes arrays with others.
    struct bound {
        const char * key;
        int64_t least, most;
    };
    static const bound bounds[] = {
        { "block_count", 1, 512 },
        { "context_length", 1, INT32_MAX },
        { "embedding_length", 1, 1 << 20 },
        { "feed_forward_length", 0, 1 << 24 },
        { "attention.head_count", 0, 1 << 16 },
        { "attention.head_count_kv", 0, 1 << 16 },
        { "attention.key_length", 1, 1 << 16 },
        { "attention.value_length", 1, 1 << 16 },
        { "expert_count", 0, 1 << 16 },
        { "expert_used_count", 0, 1 << 16 },
        { "attention.sliding_window", 0, INT32_MAX },
        { "vocab_size", 1, INT32_MAX },
    };
    for (const auto & b : bounds) {
        const auto at = metadata.find(prefix + b.key);
        if (at == metadata.end()) {
            continue;
        }
        const auto check = [&](const json & v) {
            if (!v.is_number_integer() || v.get<int64_t>() < b.least || v.get<int64_t>() > b.most) {
                fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s%s is %s", prefix.c_str(), b.key, v.dump().c_str());
            }
        };
        if (at->is_array()) {
            for (const auto & v : *at) {
                check(v);
            }
        } else if (!at->is_object()) {        // a long array, one value per layer, is checked by the loader
            check(*at);
        }
    }
    // A rotation over more dimensions than a head has would run past its end, one over none would never end.
    const auto integer = [&](const char * key, int64_t otherwise) {
        const auto at = metadata.find(prefix + key);
        return at != metadata.end() && at->is_number_integer() ? at->get<int64_t>() : otherwise;
    };
    const int64_t n_heads = integer("attention.head_count", 0);
    const int64_t head_dim = integer("attention.key_length", n_heads > 0 ? integer("embedding_length", 0) / n_heads : 0);
    const int64_t n_rot = integer("rope.dimension_count", 2);
    if (head_dim > 0 && (n_rot <= 0 || n_rot > head_dim || n_rot % 2 != 0)) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %srope.dimension_count is %lld in heads of %lld", prefix.c_str(),
             (long long) n_rot, (long long) head_dim);
    }
    for (const char * key : { "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.group_norm_epsilon" }) {
        const auto at = metadata.find(prefix + key);
        if (at != metadata.end() && at->is_number() && !(at->get<double>() >= 0 && at->get<double>() < 1)) {
            fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %s%s is %s", prefix.c_str(), key, at->dump().c_str());
        }
    }
    for (const auto & t : tensors) {
        check_tensor_type(t);
    }
    if (integer("attention.head_count", 1) == 0 && metadata.contains(prefix + "attention.head_count_kv")) {
        fail(LLMM_ERR_MODEL_INVALID, "broken GGUF: %sattention.head_count is 0", prefix.c_str());
    }
}

void gguf_file::check_adapter(const std::string & model_fingerprint) const {
    struct expected {
        const char * key;
        int32_t type;
        bool required;
    };
    static const expected keys[] = {
        { "general.type", GGUF_TYPE_STRING, true },
        { "general.architecture", GGUF_TYPE_STRING, true },
        { "adapter.type", GGUF_TYPE_STRING, true },
        { "adapter.lora.alpha", GGUF_TYPE_FLOAT32, false },
        { key_base_fingerprint, GGUF_TYPE_STRING, false },
    };
    for (const auto & e : keys) {
        const auto type = types.find(e.key);
        if (type == types.end() ? e.required : type->second != e.type) {
            fail(LLMM_ERR_ADAPTER_INVALID, "this is no LoRA adapter: %s %s", e.key,
                 type == types.end() ? "is missing" : "has the wrong type");
        }
    }
    const std::string base = base_fingerprint();
    if (!base.empty() && base != model_fingerprint) {
        fail(LLMM_ERR_ADAPTER_INVALID, "this adapter was made for the model with fingerprint %s, but this one has %s", base.c_str(),
             model_fingerprint.c_str());
    }
}

std::string gguf_file::base_fingerprint() const {
    const auto base = metadata.find(key_base_fingerprint);
    return base == metadata.end() ? "" : base->get<std::string>();
}

int64_t gguf_file::parameters() const {
    int64_t n = 0;
    for (const auto & t : tensors) {
        int64_t elements = 1;
        for (const int64_t extent : t.shape) {
            elements *= extent;
        }
        n += elements;
    }
    return n;
}

std::string gguf_file::fingerprint(const std::string & path) const {
    // FNV-1a, 64 bits: not against forgery, but enough to tell files apart by their header (names, vocabulary,
    // shapes) and by 64 pieces of their weights.
    uint64_t hash = 14695981039346656037ull;
    const auto add = [&](const char * bytes, size_t n) {
        for (size_t i = 0; i < n; i++) {
            hash = (hash ^ (unsigned char) bytes[i]) * 1099511628211ull;
        }
    };
    std::ifstream in(path, std::ios::binary);
    std::vector<char> chunk(1 << 16);
    for (uint64_t at = 0; at < data_offset && in;) {
        const auto n = (std::streamsize) std::min<uint64_t>(chunk.size(), data_offset - at);
        in.read(chunk.data(), n);
        add(chunk.data(), (size_t) in.gcount());
        at += (uint64_t) n;
    }
    in.clear();
    constexpr uint64_t samples = 64, sample_bytes = 4096;
    const uint64_t data = size_bytes - std::min(size_bytes, data_offset);
    for (uint64_t i = 0; i < samples; i++) {
        in.seekg((std::streamoff) (data_offset + data / samples * i));
        in.read(chunk.data(), (std::streamsize) std::min(sample_bytes, data / samples));
        add(chunk.data(), (size_t) in.gcount());
        in.clear();
    }
    add(reinterpret_cast<const char *>(&size_bytes), sizeof(size_bytes));
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", (unsigned long long) hash);
    return text;
}

json gguf_file::to_json() const {
    json types = json::object();
    json list = json::array();
    for (const auto & t : tensors) {
        std::string type = ggml_type_name((ggml_type) t.type);
        for (char & c : type) {
            c = (char) std::toupper((unsigned char) c);
        }
        auto & entry = types[type];
        if (entry.is_null()) {
            entry = { { "tensors", 0 }, { "bytes", 0 } };
        }
        entry["tensors"] = entry["tensors"].get<int64_t>() + 1;
        entry["bytes"] = entry["bytes"].get<uint64_t>() + t.size_bytes;
        list.push_back({ { "name", utf8_repair(t.name) }, { "type", type }, { "shape", t.shape }, { "bytes", t.size_bytes } });
    }
    return json{
        { "version", version },           { "size_bytes", size_bytes },     { "data_offset", data_offset },
        { "tensor_count", tensors.size() }, { "parameters", parameters() }, { "types", types },
        { "metadata", metadata },         { "tensors", list },
    };
}

}  // namespace llmm
