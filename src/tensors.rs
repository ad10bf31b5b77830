//! Named numbers in any precision: what checkpoints and models hold, whatever trained them.
//!
//! Every component that has state writes it into [`Parts`] and reads it back by itself, in one place each; files only write `Parts`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use byteorder::{ByteOrder, LittleEndian};
use safetensors::tensor::{Dtype, TensorView, View};

use crate::real::{Numbers, Real};

/// Numbers with a shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    numbers: Numbers,
}

impl Tensor {
    /// Numbers of this shape.
    ///
    /// # Panics
    /// There are not as many as the shape has.
    pub fn new<T: Real>(shape: &[usize], numbers: Vec<T>) -> Self {
        assert_eq!(numbers.len(), shape.iter().product::<usize>(), "as many numbers as the shape has");
        Self { shape: shape.to_vec(), numbers: T::numbers(numbers) }
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.len() * 4,
            Numbers::F64(numbers) => numbers.len() * 8,
        }
    }

    /// The size of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, if they are of this precision.
    pub fn numbers<T: Real>(&self) -> Option<&[T]> {
        T::of_numbers(&self.numbers)
    }

    /// The numbers in f64, which is exact.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.iter().map(|&number| f64::from(number)).collect(),
            Numbers::F64(numbers) => numbers.clone(),
        }
    }

    /// The tensor of a safetensors file; its data type where that is none of ours.
    pub fn of_view(view: &TensorView<'_>) -> Result<Self, Dtype> {
        let bytes = view.data();
        let numbers = match view.dtype() {
            Dtype::F32 => Numbers::F32(bytes.chunks_exact(4).map(LittleEndian::read_f32).collect()),
            Dtype::F64 => Numbers::F64(bytes.chunks_exact(8).map(LittleEndian::read_f64).collect()),
            other => return Err(other),
        };
        Ok(Self { shape: view.shape().to_vec(), numbers })
    }
}

/// As a safetensors file holds it: bytes are made when they are written, so that a file does not take several times the memory of its
/// numbers.
impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::F32(_) => Dtype::F32,
            Numbers::F64(_) => Dtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        match &self.numbers {
            Numbers::F32(numbers) => LittleEndian::write_f32_into(numbers, &mut bytes),
            Numbers::F64(numbers) => LittleEndian::write_f64_into(numbers, &mut bytes),
        }
        bytes.into()
    }

    fn data_len(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => 4 * numbers.len(),
            Numbers::F64(numbers) => 8 * numbers.len(),
        }
    }
}

/// Named scalars and tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Single numbers.
    pub scalars: BTreeMap<String, f64>,
    /// Numbers with a shape.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Parts {
    /// Bytes of all tensors.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(Tensor::bytes).sum()
    }

    /// Adds a tensor.
    ///
    /// # Panics
    /// As [`Tensor::new`].
    pub fn put<T: Real>(&mut self, name: &str, shape: &[usize], numbers: Vec<T>) {
        self.tensors.insert(name.to_owned(), Tensor::new(shape, numbers));
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, String> {
        self.tensors.get(name).ok_or_else(|| format!("no tensor `{name}`"))
    }

    /// The numbers of the tensor `name`, which has this shape.
    ///
    /// # Errors
    /// There is none, or it has another shape or precision.
    pub fn numbers<T: Real>(&self, name: &str, shape: &[usize]) -> Result<&[T], String> {
        let tensor = self.tensor(name)?;
        if tensor.shape != shape {
            return Err(format!("`{name}` of shape {:?}", tensor.shape));
        }
        tensor.numbers().ok_or_else(|| format!("`{name}` in another precision than {}", T::PRECISION.key()))
    }

    /// The scalar `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn scalar(&self, name: &str) -> Result<f64, String> {
        self.scalars.get(name).copied().ok_or_else(|| format!("no number `{name}`"))
    }
}
