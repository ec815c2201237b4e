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

/// For every source, its module for the newest architecture that a GPU of this capability runs.
pub fn modules_for(capability: u32) -> Vec<&'static Module> {
    let mut modules: Vec<&Module> = Vec::new();
    for module in MODULES.iter().filter(|module| module.architecture <= capability) {
        match modules.iter_mut().find(|chosen| chosen.source == module.source) {
            Some(chosen) if chosen.architecture < module.architecture => *chosen = module,
            Some(_) => {}
            None => modules.push(module),
        }
    }
    modules
}
