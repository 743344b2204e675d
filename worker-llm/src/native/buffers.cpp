// What a context of llama.cpp takes. llama.cpp tells it in C++ alone, by a function of a header that it does not
// install (src/llama-ext.h), so that the few types it needs are declared here once more. The version of llama.cpp is
// pinned, and a test compares the figures with what can be known beforehand and with a real load.

#include <cstddef>
#include <map>

struct llama_context;
struct ggml_backend_buffer_type;

struct llama_memory_breakdown_data {
    std::size_t model = 0;
    std::size_t context = 0;
    std::size_t compute = 0;
};

std::map<ggml_backend_buffer_type *, llama_memory_breakdown_data> llama_get_memory_breakdown(const llama_context * ctx);

// Calls `each` with every kind of buffer and the bytes of weights, context and working memory in it. Returns false if
// there are no figures.
extern "C" bool meetcap_llama_buffers(
        const llama_context * context,
        void (*each)(void *, ggml_backend_buffer_type *, std::size_t, std::size_t, std::size_t),
        void * user) noexcept {
    try {
        for (const auto & [kind, bytes] : llama_get_memory_breakdown(context)) {
            each(user, kind, bytes.model, bytes.context, bytes.compute);
        }
        return true;
    } catch (...) {
        return false;
    }
}
