//! Throughput, against the machine's own matrix multiply.

pub mod gemm;
