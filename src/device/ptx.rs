//! The GPU kernels, embedded in the binary as PTX. They are built by `build/nvcc.rs`; without nvcc there are none.

/// The kernels of one source file, for one architecture and newer ones.
pub struct Module {
    /// Name of the source file below `kernels/`, without its extension.
    pub source: &'static str,
    /// Compute capability, such as 80 for 8.0.
    pub architecture: u32,
    pub ptx: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/ptx.rs"));

/// Returns whether this binary contains GPU kernels at all.
pub fn is_embedded() -> bool {
    !MODULES.is_empty()
}

/// Returns the oldest compute capability that can run the kernels.
pub fn oldest_architecture() -> Option<u32> {
    MODULES.iter().map(|module| module.architecture).min()
}

/// Returns the PTX of a source for the newest architecture that a GPU of this capability can run.
pub fn module_for(source: &str, capability: u32) -> Option<&'static str> {
    MODULES
        .iter()
        .filter(|module| module.source == source && module.architecture <= capability)
        .max_by_key(|module| module.architecture)
        .map(|module| module.ptx)
}
