//! Keeps Tesseract on the calling thread.
//!
//! Tesseract asks OpenMP for four threads for every line it reads. On a machine with fewer free cores these spin
//! against each other: the same slide takes three times as long, and the other work suffers. The environment variable
//! that would limit them (`OMP_THREAD_LIMIT`) is only read when the process starts, which is not ours to decide.
#![allow(unsafe_code, reason = "the one OpenMP call has no safe binding")]

/// Makes parallel regions that the calling thread enters from now on run on that thread alone.
pub(crate) fn stay_on_this_thread() {
    #[cfg(target_os = "linux")]
    {
        #[link(name = "gomp")]
        unsafe extern "C" {
            fn omp_set_max_active_levels(levels: std::ffi::c_int);
        }
        // SAFETY: OpenMP defines this call for any thread and for any value of at least 0; it only writes a setting
        // of the calling thread.
        unsafe { omp_set_max_active_levels(0) };
    }
}
