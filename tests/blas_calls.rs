//! Proof that the training path reaches BLAS: this program brings its own `cblas_sgemm` and `cblas_dgemm`, which note the
//! layout of each call and hand it on to OpenBLAS. The linker prefers them, so a product that is not counted here is one that
//! ndarray computed by itself.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Mutex;

use mlpgrid::blas;
use mlpgrid::blas::lanes::Lanes;
use mlpgrid::data::minibatch::Minibatch;
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::{Cohort, Step};
use mlpgrid::model::optimizer::Method;
use mlpgrid::model::wide::blas::Blas;
use mlpgrid::random::{self, Purpose};
use mlpgrid::real::Real;
use ndarray::Array2;

/// The layout of a call, in CBLAS's words: 101 row-major, 111 as it is, 112 transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    bytes: usize,
    order: c_int,
    transposed: [c_int; 2],
    m_n_k: [c_int; 3],
}

static CALLS: Mutex<Vec<Call>> = Mutex::new(Vec::new());

macro_rules! counting_gemm {
    ($name:ident, $real:ty, $symbol:literal) => {
        /// # Safety
        /// As CBLAS asks.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            order: c_int,
            ta: c_int,
            tb: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: $real,
            a: *const $real,
            lda: c_int,
            b: *const $real,
            ldb: c_int,
            beta: $real,
            c: *mut $real,
            ldc: c_int,
        ) {
            let call = Call { bytes: size_of::<$real>(), order, transposed: [ta, tb], m_n_k: [m, n, k] };
            CALLS.lock().expect("no panic while counting").push(call);
            type Gemm = unsafe extern "C" fn(
                c_int,
                c_int,
                c_int,
                c_int,
                c_int,
                c_int,
                $real,
                *const $real,
                c_int,
                *const $real,
                c_int,
                $real,
                *mut $real,
                c_int,
            );
            // SAFETY: the next definition of the symbol is OpenBLAS's, of this very type; the arguments are the caller's.
            unsafe {
                let next: *mut c_void = libc::dlsym(libc::RTLD_NEXT, $symbol.as_ptr());
                assert!(!next.is_null(), "OpenBLAS is linked dynamically");
                std::mem::transmute::<*mut c_void, Gemm>(next)(
                    order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc,
                );
            }
        }
    };
}

counting_gemm!(cblas_sgemm, f32, c"cblas_sgemm");
counting_gemm!(cblas_dgemm, f64, c"cblas_dgemm");

const B: usize = 20;
const D: usize = 30;
const H: usize = 16;
const C: usize = 10;

fn products_of_an_iteration<T: Real>(members: usize) -> Vec<Call> {
    let network = |seed| TwoLayerNet::<T>::random(D, H, C, [0.1; 2], &mut random::stream(seed, Purpose::Init, 0));
    let member = |seed| (network(seed), Method::descent(0.1));
    let mut cohort = Cohort::<Blas<T>>::new((0..members as u64).map(member).collect(), Lanes::alone());
    let mut scratch = cohort.scratch(B);
    let batch = Minibatch::of(Array2::ones((B, D)), vec![1; B]);
    let mut steps = vec![Step { iteration: 0, rate: 0.01, ..Step::default() }; members];
    CALLS.lock().expect("no panic while counting").clear();
    cohort.iterate(&batch, &mut scratch, &mut steps);
    CALLS.lock().expect("no panic while counting").clone()
}

#[test]
fn an_iteration_is_two_products_and_both_reach_blas_in_both_precisions() {
    fn check<T: Real>() {
        for members in [1, 3] {
            let calls = products_of_an_iteration::<T>(members);
            let call = |transposed, m_n_k: [usize; 3]| Call {
                bytes: size_of::<T>(),
                order: 101,
                transposed,
                m_n_k: m_n_k.map(|size| size as c_int),
            };
            let forward = call([111, 112], [H * members, B, D]); // V·Xᵀ, with X transposed in place
            let backward = call([111, 111], [H * members, D, B]); // Δᵀ·X
            assert_eq!(calls, [forward, backward]);
        }
    }
    blas::initialise().expect("OpenBLAS is linked");
    check::<f32>();
    check::<f64>();
}
