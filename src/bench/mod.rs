//! Throughput, against the machine's own matrix multiply.

pub mod gemm;
pub mod throughput;
