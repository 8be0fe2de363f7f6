#include "library.h"

#include <cstring>

#if defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#if defined(__linux__)
#include <elf.h>
#include <link.h>
#endif

namespace sdrest {
namespace {

template <typename Function>
bool find(void* library, const char* name, Function& function) {
#if defined(_WIN32)
    function = reinterpret_cast<Function>(reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name)));
#else
    function = reinterpret_cast<Function>(dlsym(library, name));
#endif
    return function != nullptr;
}

#if defined(__linux__)
// The dynamic linker has relocated the addresses in the dynamic section on most machines, on some it has not.
template <typename T>
const T* at(const link_map* map, ElfW(Addr) address) {
    return reinterpret_cast<const T*>(address < map->l_addr ? address + map->l_addr : address);
}

bool names(const ElfW(Rela)* begin, size_t bytes, const ElfW(Sym)* symbols, const char* strings, const char* wanted) {
    for (const ElfW(Rela)* r = begin; r != begin + bytes / sizeof(ElfW(Rela)); ++r) {
#if __ELF_NATIVE_CLASS == 64
        const size_t index = ELF64_R_SYM(r->r_info);
#else
        const size_t index = ELF32_R_SYM(r->r_info);
#endif
        if (index != 0 && std::strcmp(strings + symbols[index].st_name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

// A call that the static linker has bound inside the library (-Bsymbolic, hidden visibility) leaves no relocation with the name.
bool calls_through_linker(const link_map* map, const char* wanted) {
    const ElfW(Sym)* symbols = nullptr;
    const char* strings      = nullptr;
    const ElfW(Rela)* jumps  = nullptr;
    const ElfW(Rela)* others = nullptr;
    size_t jump_bytes = 0, other_bytes = 0;
    for (const ElfW(Dyn)* d = map->l_ld; d->d_tag != DT_NULL; ++d) {
        switch (d->d_tag) {
            case DT_SYMTAB: symbols = at<ElfW(Sym)>(map, d->d_un.d_ptr); break;
            case DT_STRTAB: strings = at<char>(map, d->d_un.d_ptr); break;
            case DT_JMPREL: jumps = at<ElfW(Rela)>(map, d->d_un.d_ptr); break;
            case DT_RELA: others = at<ElfW(Rela)>(map, d->d_un.d_ptr); break;
            case DT_PLTRELSZ: jump_bytes = d->d_un.d_val; break;
            case DT_RELASZ: other_bytes = d->d_un.d_val; break;
            case DT_PLTREL:
                if (d->d_un.d_val != DT_RELA) return false;  // 32-bit machines: not worth a second reader
                break;
            case DT_SYMBOLIC: return false;
            case DT_FLAGS:
                if (d->d_un.d_val & DF_SYMBOLIC) return false;
                break;
            default: break;
        }
    }
    if (symbols == nullptr || strings == nullptr) {
        return false;
    }
    return (jumps != nullptr && names(jumps, jump_bytes, symbols, strings, wanted)) ||
           (others != nullptr && names(others, other_bytes, symbols, strings, wanted));
}
#endif

}  // namespace

bool resolve(void* library, Functions& f) {
    const bool complete = find(library, "new_sd_ctx", f.new_sd_ctx) & find(library, "generate_image", f.generate_image) &
                          find(library, "sd_set_log_callback", f.sd_set_log_callback) &
                          find(library, "sd_set_progress_callback", f.sd_set_progress_callback);
    find(library, "generate_video", f.generate_video);
    find(library, "new_upscaler_ctx", f.new_upscaler_ctx);
    find(library, "upscale", f.upscale);
    find(library, "convert", f.convert);
    find(library, "ggml_backend_graph_compute", f.graph_compute);
    find(library, "ggml_backend_is_cpu", f.backend_is_cpu);
    find(library, "ggml_backend_cpu_set_abort_callback", f.cpu_set_abort_check);
    find(library, "ggml_set_abort_callback", f.set_abort_handler);
    return complete;
}

bool interposed(void* library, const void* ours) {
#if defined(__linux__)
    link_map* map = nullptr;
    return dlsym(RTLD_DEFAULT, "ggml_backend_graph_compute") == ours && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 &&
           map != nullptr && calls_through_linker(map, "ggml_backend_graph_compute");
#else
    (void)library;
    (void)ours;
    return false;  // two-level namespaces (macOS) and import tables (Windows) do not ask us first
#endif
}

}  // namespace sdrest
