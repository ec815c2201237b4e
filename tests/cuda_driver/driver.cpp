// A CUDA driver without a GPU: implements the calls that src/device/cuda.rs makes, and runs the kernels on the emulated
// target. Device memory is host memory, filled with garbage when allocated. Modules are PTX text, in which functions
// must be declared. FAKE_CUDA in the environment makes it fail in one of the ways in which drivers fail.
#include "core/emulated.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

namespace {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    UNSUPPORTED_PTX_VERSION = 222,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
};

typedef const char* (*EmulatedKernel)(const void*, uint32_t, uint32_t, const EmulatedOptions*);

struct Function {
    EmulatedKernel run;
    bool is_adam;
    int most_shared;
};

bool fails(const char* how) {
    const char* mode = getenv("FAKE_CUDA");
    return mode && strcmp(mode, how) == 0;
}

const int SHARED_WITHOUT_ASKING = 48 * 1024;
int context, stream;  // their addresses serve as handles

}  // namespace

extern "C" {

Result cuInit(unsigned) { return fails("no device") ? NO_DEVICE : SUCCESS; }

Result cuDriverGetVersion(int* version) {
    *version = fails("old driver") ? 11080 : 12010;
    return SUCCESS;
}

Result cuGetErrorString(Result error, const char** text) {
    *text = error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "an error of the fake driver";
    return SUCCESS;
}

Result cuDeviceGet(int* device, int) { return *device = 0, SUCCESS; }

Result cuDeviceGetName(char* name, int size, int) { return snprintf(name, (size_t)size, "fake GPU"), SUCCESS; }

Result cuDeviceGetAttribute(int* value, int attribute, int) {
    const bool old = fails("old GPU");
    *value = attribute == 75 ? (old ? 7 : 9) : attribute == 76 ? (old ? 5 : 0) : 0;  // compute capability
    return SUCCESS;
}

Result cuDevicePrimaryCtxRetain(void** handle, int) { return *handle = &context, SUCCESS; }
Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Result cuCtxGetCurrent(void** handle) { return *handle = &context, SUCCESS; }
Result cuCtxSetCurrent(void*) { return SUCCESS; }
Result cuCtxSynchronize() { return SUCCESS; }

Result cuStreamCreate(void** handle, unsigned) { return *handle = &stream, SUCCESS; }
Result cuStreamSynchronize(void*) { return SUCCESS; }
Result cuStreamDestroy_v2(void*) { return SUCCESS; }

Result cuModuleLoadData(void** module, const void* image) {
    if (fails("old PTX")) return UNSUPPORTED_PTX_VERSION;
    if (!strstr((const char*)image, ".version ")) return INVALID_VALUE;
    *module = strdup((const char*)image);
    return SUCCESS;
}

Result cuModuleUnload(void* module) { return free(module), SUCCESS; }

Result cuModuleGetFunction(void** handle, const char* module, const char* name) {
    char text[256];
    snprintf(text, sizeof text, ".entry %s(", name);
    if (!strstr(module, text)) return NOT_FOUND;
    Dl_info self;
    dladdr((void*)&context, &self);
    snprintf(text, sizeof text, "%s_emulated", name);
    void* run = dlsym(dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD), text);
    if (!run) return NOT_FOUND;
    *handle = new Function{(EmulatedKernel)run, strcmp(name, "adam") == 0, SHARED_WITHOUT_ASKING};
    return SUCCESS;
}

/// Finds a constant of a module, which the PTX text contains as `name = value;`.
Result cuModuleGetGlobal_v2(void** address, size_t* bytes, const char* module, const char* name) {
    char text[256];
    snprintf(text, sizeof text, " %s = ", name);
    const char* found = strstr(module, text);
    if (!found) return NOT_FOUND;
    *address = new uint32_t((uint32_t)atol(found + strlen(text)));
    *bytes = sizeof(uint32_t);
    return SUCCESS;
}

Result cuFuncSetAttribute(Function* function, int attribute, int value) {
    if (attribute == 8 && value > function->most_shared) function->most_shared = value;  // dynamic shared memory
    return SUCCESS;
}

Result cuLaunchKernel(Function* function, unsigned blocks, unsigned rows, unsigned layers, unsigned threads, unsigned y,
                      unsigned z, unsigned shared_bytes, void* on, void** parameters, void**) {
    if (fails("fault") && function->is_adam) return ILLEGAL_ADDRESS;
    if (on != &stream || layers != 1 || threads != 128 || y != 1 || z != 1) return INVALID_VALUE;
    if ((int)shared_bytes > function->most_shared) return INVALID_VALUE;
    const uint32_t n_items = *(const uint32_t*)parameters[1];
    if (blocks != n_items && blocks != (n_items + 127) / 128 && blocks != (n_items + 3) / 4) return INVALID_VALUE;
    const EmulatedOptions options = {0};
    const char* fault = function->run(parameters[0], n_items, rows, &options);
    if (fault) fprintf(stderr, "%s\n", fault);
    return fault ? ILLEGAL_ADDRESS : SUCCESS;
}

Result cuMemAlloc_v2(void** address, size_t bytes) {
    if (fails("out of memory") && bytes > 1 << 20) return OUT_OF_MEMORY;
    *address = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(*address, 0xa5, bytes);
    return SUCCESS;
}

Result cuMemFree_v2(void* address) { return free(address), SUCCESS; }
Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total) { return *free_bytes = *total = 1 << 20, SUCCESS; }
Result cuMemsetD8Async(void* to, unsigned char byte, size_t bytes, void*) { return memset(to, byte, bytes), SUCCESS; }
Result cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, void*) { return memcpy(to, from, bytes), SUCCESS; }
Result cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, void*) { return memcpy(to, from, bytes), SUCCESS; }

Result cuEventCreate(void** event, unsigned) { return *event = new int, SUCCESS; }
Result cuEventRecord(void*, void*) { return SUCCESS; }
Result cuEventSynchronize(void*) { return SUCCESS; }
Result cuEventElapsedTime(float* milliseconds, void*, void*) { return *milliseconds = 1.0f, SUCCESS; }
Result cuEventDestroy_v2(void* event) { return delete (int*)event, SUCCESS; }

}  // extern "C"
