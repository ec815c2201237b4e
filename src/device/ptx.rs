//! The kernels for GPUs, as PTX in the binary; made by `build/nvcc.rs`, and none where there was no nvcc.

/// A source file's kernels for one architecture and newer ones.
pub struct Module {
    /// `kernels/{source}.cu`
    pub source: &'static str,
    /// Compute capability, as 80 for 8.0.
    pub architecture: u32,
    pub ptx: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/ptx.rs"));

/// Whether there are kernels for GPUs at all.
pub fn is_embedded() -> bool {
    !MODULES.is_empty()
}

/// The oldest compute capability that runs the kernels.
pub fn oldest_architecture() -> Option<u32> {
    MODULES.iter().map(|module| module.architecture).min()
}

/// The PTX of a source for the newest architecture that a GPU of this capability runs.
pub fn module_for(source: &str, capability: u32) -> Option<&'static str> {
    MODULES
        .iter()
        .filter(|module| module.source == source && module.architecture <= capability)
        .max_by_key(|module| module.architecture)
        .map(|module| module.ptx)
}
