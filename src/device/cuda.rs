//! The CUDA target: kernels loaded from the PTX in this binary, launched one after the other on a single stream.
//!
//! The driver is loaded at run time, so that the same binary also runs on machines without one. Launches and fills are
//! asynchronous; copies wait, since they borrow host memory.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytemuck::Pod;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUfunction_attribute, CUresult};
use cudarc::driver::{CudaContext, CudaEvent, CudaFunction, CudaModule, CudaStream};
use cudarc::nvrtc::Ptx;

use super::{Args, Kernel, LaunchDims, Profile, Shape, args, kernels, ptx};
use crate::{Error, Result};

/// Number of threads in a warp.
const WARP: u32 = 32;

/// Handle to a GPU. Clones share the same GPU.
#[derive(Clone)]
pub struct Cuda {
    gpu: Arc<Gpu>,
    profile: Option<Arc<Profile>>,
}

struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    capability: u32,
    loaded: Mutex<Loaded>,
    name: String,
    /// Kernel that was launched last: the first suspect when the device reports a fault later.
    last_kernel: Mutex<&'static str>,
}

/// Modules and functions loaded so far. A source is loaded when one of its kernels is first launched. The driver then
/// compiles its PTX, which can take seconds if the result is not in the driver's own cache yet.
#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, Arc<CudaModule>>,
    functions: HashMap<&'static str, Function>,
}

#[derive(Clone)]
struct Function {
    function: CudaFunction,
    shared_bytes: u32,
}

impl Cuda {
    /// Opens the first GPU that the driver shows, which `CUDA_VISIBLE_DEVICES` can choose.
    ///
    /// # Errors
    /// Returns an error if this binary has no CUDA kernels, or if there is no driver or GPU, or one that is too old.
    /// The message says what to do.
    pub fn open() -> Result<Self> {
        if !ptx::is_embedded() {
            return Err(Error::device(
                "this binary has no CUDA kernels, since no nvcc was there when it was built: run scripts/fetch-nvcc.sh \
                 and build again, or use --device cpu",
            ));
        }
        check_driver()?;
        let context = CudaContext::new(0).map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_NO_DEVICE => {
                Error::device("the CUDA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide one); use --device cpu")
            }
            _ => Error::device(format!("CUDA does not start ({}); use --device cpu", words(error))),
        })?;
        let name = context.name().map_err(|error| fault("asking for the GPU's name", error))?;
        let capability = capability(&context).map_err(|error| fault("asking for the GPU's capability", error))?;
        if ptx::oldest_architecture().is_some_and(|oldest| capability < oldest) {
            return Err(Error::device(format!(
                "{name} has compute capability {}.{}, and the kernels want 8.0 or newer; use --device cpu",
                capability / 10,
                capability % 10
            )));
        }
        let stream = context.new_stream().map_err(|error| fault("making a stream", error))?;
        let (loaded, last_kernel) = (Mutex::default(), Mutex::new("none"));
        let gpu = Gpu { context, stream, capability, loaded, name, last_kernel };
        // Load one module now: if the driver rejects the kernels, this fails while another device can still be chosen.
        gpu.module(&mut gpu.loaded(), kernels::PROBE.source)?;
        Ok(Cuda { gpu: Arc::new(gpu), profile: None })
    }

    /// Returns whether the library of a CUDA driver is installed.
    pub(super) fn has_driver() -> bool {
        // SAFETY: this loads the driver's library and releases it again; no other library is loaded under its name.
        unsafe { sys::is_culib_present() }
    }

    /// Returns the name of the GPU, such as `NVIDIA H200`.
    pub fn describe(&self) -> String {
        self.gpu.name.clone()
    }

    /// Returns the same GPU with the time of every kernel added to the profile.
    pub(super) fn profiled(&self, profile: Arc<Profile>) -> Self {
        Cuda { gpu: self.gpu.clone(), profile: Some(profile) }
    }

    /// Queues a kernel, between two events if profiling is on.
    pub(super) fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        let Some(profile) = &self.profile else { return self.queue(kernel, args, grid) };
        let begin = self.record_event()?;
        self.queue(kernel, args, grid)?;
        let end = self.record_event()?;
        let gpu = Cuda { gpu: self.gpu.clone(), profile: None };
        let wait = move || Ok(Duration::from_secs_f64(gpu.seconds_between(&begin, &end)?));
        profile.add_queued(kernel.name, Box::new(wait));
        Ok(())
    }

    fn queue<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        let blocks = match kernel.shape {
            Shape::Item => grid.items.div_ceil(args::BLOCK as u32),
            Shape::Warp => grid.items.div_ceil(args::BLOCK as u32 / WARP),
            Shape::Tile => grid.items,
        };
        if blocks == 0 || grid.rows == 0 {
            return Ok(());
        }
        let gpu = &*self.gpu;
        let function = gpu.function(kernel.name, kernel.source, kernel.shape)?;
        let mut n_items = grid.items;
        let mut parameters: [*mut c_void; 2] =
            [ptr::from_ref(args).cast_mut().cast(), ptr::from_mut(&mut n_items).cast()];
        gpu.bind()?;
        // SAFETY: the function is alive in `gpu`. The driver copies the parameters before it returns: first the struct,
        // which has the layout that the kernel was compiled with (`Args`), then the number of items. The buffers behind
        // its pointers are freed only when the stream is done with them (`Memory::drop`). The caller guarantees that
        // they are as long as the arguments say.
        unsafe {
            result::launch_kernel(
                function.function.cu_function(),
                (blocks, grid.rows, 1),
                (args::BLOCK as u32, 1, 1),
                function.shared_bytes,
                gpu.stream.cu_stream(),
                &mut parameters,
            )
        }
        .map_err(|error| gpu.fault(&format!("launching kernel {}", kernel.name), error))?;
        *gpu.last_kernel.lock().unwrap_or_else(PoisonError::into_inner) = kernel.name;
        Ok(())
    }

    /// Allocates zeroed memory.
    pub(super) fn allocate(&self, bytes: usize) -> Result<Memory> {
        let gpu = self.gpu.clone();
        gpu.bind()?;
        // SAFETY: the address is stored in a `Memory`, which frees it once.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let free = gpu.context.mem_get_info().map_or(0, |(free, _)| free);
                Error::device(format!(
                    "{} is out of memory: {} MiB wanted, {} MiB free; a smaller batch_samples needs less",
                    gpu.name,
                    bytes >> 20,
                    free >> 20
                ))
            }
            _ => gpu.fault("allocating memory", error),
        })?;
        let mut memory = Memory { gpu, address, bytes };
        memory.clear()?;
        Ok(memory)
    }

    /// Records an event in the queue; see [`super::Event`].
    pub(super) fn record_event(&self) -> Result<CudaEvent> {
        let gpu = &*self.gpu;
        let event = gpu
            .context
            .new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT))
            .and_then(|event| event.record(&gpu.stream).map(|()| event));
        event.map_err(|error| gpu.fault("recording an event", error))
    }

    /// Returns the seconds of device time between one event and a later one. Waits for the later one.
    pub(super) fn seconds_between(&self, begin: &CudaEvent, end: &CudaEvent) -> Result<f64> {
        let milliseconds = begin.elapsed_ms(end).map_err(|error| self.gpu.fault("waiting for an event", error))?;
        Ok(f64::from(milliseconds) * 1e-3)
    }
}

impl Gpu {
    /// Makes the GPU current for the calling thread, as every driver call requires.
    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(|error| self.fault("making the GPU current", error))
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a kernel, which is loaded first if necessary.
    fn function(&self, name: &'static str, source: &'static str, shape: Shape) -> Result<Function> {
        let mut loaded = self.loaded();
        if let Some(function) = loaded.functions.get(name) {
            return Ok(function.clone());
        }
        self.bind()?;
        let module = self.module(&mut loaded, source)?;
        let function = load_function(&self.context, &module, name, shape)
            .map_err(|error| fault(&format!("loading kernel {name}"), error))?;
        loaded.functions.insert(name, function.clone());
        Ok(function)
    }

    /// Returns the module with the kernels of a source, which is loaded first if necessary.
    fn module(&self, loaded: &mut Loaded, source: &'static str) -> Result<Arc<CudaModule>> {
        if let Some(module) = loaded.modules.get(source) {
            return Ok(module.clone());
        }
        let text = ptx::module_for(source, self.capability)
            .ok_or_else(|| Error::device(format!("this binary has no PTX of {source}.cu for {}", self.name)))?;
        let module = self.context.load_module(Ptx::from_src(text)).map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => too_old("refuses this version of PTX"),
            _ => fault(&format!("loading {source}.cu"), error),
        })?;
        loaded.modules.insert(source, module.clone());
        Ok(module)
    }

    fn synchronize(&self) -> std::result::Result<(), DriverError> {
        self.stream.synchronize()
    }

    /// Builds the error for a failed driver call. Faults of a kernel are only reported by some later call, so the error
    /// names that call and the last kernel before it.
    fn fault(&self, what: &str, error: DriverError) -> Error {
        let kernel = *self.last_kernel.lock().unwrap_or_else(PoisonError::into_inner);
        Error::device(format!(
            "{}: {what} failed: {}; the last kernel before it was {kernel} (CUDA_LAUNCH_BLOCKING=1 in the environment lets \
             the error name the one at fault)",
            self.name,
            words(error)
        ))
    }
}

fn fault(what: &str, error: DriverError) -> Error {
    Error::device(format!("{what} failed: {}", words(error)))
}

fn words(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}

/// Checks that there is a driver that can load the PTX of this binary.
fn check_driver() -> Result<()> {
    if !Cuda::has_driver() {
        return Err(Error::device(
            "no CUDA driver found (libcuda.so): install NVIDIA's driver, 530 or newer, or use --device cpu",
        ));
    }
    let mut version = 0;
    // SAFETY: the library is present, and the call writes one integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(|error| fault("asking for the driver's version", error))?;
    let (major, minor) = (version / 1000, version % 1000 / 10);
    if (major, minor) < ptx::RELEASE {
        return Err(too_old(&format!("supports CUDA {major}.{minor}")));
    }
    Ok(())
}

fn too_old(what: &str) -> Error {
    Error::device(format!(
        "the CUDA driver {what}, and the kernels of this binary want CUDA {}.{}: install NVIDIA's driver 530 or newer, or \
         use --device cpu",
        ptx::RELEASE.0,
        ptx::RELEASE.1
    ))
}

/// Returns the compute capability as an integer, such as 80 for 8.0.
fn capability(context: &CudaContext) -> std::result::Result<u32, DriverError> {
    let (major, minor) = context.compute_capability()?;
    Ok((10 * major + minor) as u32)
}

fn load_function(
    context: &Arc<CudaContext>,
    module: &Arc<CudaModule>,
    name: &str,
    shape: Shape,
) -> std::result::Result<Function, DriverError> {
    let function = module.load_function(name)?;
    let shared_bytes = if shape == Shape::Tile { shared_bytes(context, module, name)? } else { 0 };
    // A kernel that needs more than 48 KiB has to opt in.
    function
        .set_attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes as i32)?;
    Ok(Function { function, shared_bytes })
}

/// Returns the shared memory in bytes of a tile kernel, read from the constant that its macro exports.
fn shared_bytes(
    context: &Arc<CudaContext>,
    module: &Arc<CudaModule>,
    name: &str,
) -> std::result::Result<u32, DriverError> {
    let stream = context.default_stream();
    let constant = module.get_global(&format!("{name}_shared_bytes"), &stream)?;
    let mut bytes = [0u8; 4];
    stream.memcpy_dtoh(&constant, &mut bytes)?;
    stream.synchronize()?;
    Ok(u32::from_ne_bytes(bytes))
}

/// Memory of a GPU.
pub struct Memory {
    gpu: Arc<Gpu>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Memory {
    pub fn address<T>(&self) -> *mut T {
        ptr::without_provenance_mut(self.address as usize)
    }

    /// Copies to the host, starting at element `first` in numbers of `T`.
    pub fn read<T: Pod>(&self, first: usize, values: &mut [T]) -> Result<()> {
        self.check::<T>(first, values.len());
        self.gpu.bind()?;
        // SAFETY: the range was checked, any bytes are a valid `T`, and `values` is borrowed until the copy has
        // finished.
        unsafe {
            result::memcpy_dtoh_async(
                values,
                self.address + (first * size_of::<T>()) as u64,
                self.gpu.stream.cu_stream(),
            )
        }
        .and_then(|()| self.gpu.synchronize())
        .map_err(|error| self.gpu.fault("copying from the GPU", error))
    }

    /// Copies from the host, starting at element `first` in numbers of `T`.
    pub fn write<T: Pod>(&mut self, first: usize, values: &[T]) -> Result<()> {
        self.check::<T>(first, values.len());
        self.gpu.bind()?;
        // SAFETY: the range was checked, and `values` is borrowed until the copy has finished.
        unsafe {
            result::memcpy_htod_async(
                self.address + (first * size_of::<T>()) as u64,
                values,
                self.gpu.stream.cu_stream(),
            )
        }
        .and_then(|()| self.gpu.synchronize())
        .map_err(|error| self.gpu.fault("copying to the GPU", error))
    }

    /// Queues a fill with zeros.
    pub fn clear(&mut self) -> Result<()> {
        self.gpu.bind()?;
        // SAFETY: this covers exactly the allocation, and runs in the order of the stream.
        unsafe { result::memset_d8_async(self.address, 0, self.bytes, self.gpu.stream.cu_stream()) }
            .map_err(|error| self.gpu.fault("filling memory", error))
    }

    fn check<T>(&self, first: usize, len: usize) {
        assert!((first + len) * size_of::<T>() <= self.bytes, "a copy past the end of device memory");
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A failure here is reported by the next call that can return an error.
        let freed = self.gpu.synchronize().and_then(|()| {
            // SAFETY: allocated by `allocate`, freed once, and no kernel that received the address is still running.
            unsafe { result::free_sync(self.address) }
        });
        self.gpu.context.record_err(freed);
    }
}
