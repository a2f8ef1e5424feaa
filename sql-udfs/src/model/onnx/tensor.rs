//! Constant tensors: Rust values into ONNX bytes and back, with every length checked.
//!
//! Values are written as `raw_data` (little-endian), which every reader of ONNX takes. It knows nothing of operators.

use super::Tensor;
use crate::{Error, Result};

/// `TensorProto.DataType`, as far as we use it.
pub(crate) mod data_type {
    /// 32-bit floats.
    pub const FLOAT: i32 = 1;
    /// 8-bit unsigned integers.
    pub const UINT8: i32 = 2;
    /// 64-bit integers.
    pub const INT64: i32 = 7;
    /// Texts.
    pub const STRING: i32 = 8;
    /// Booleans, a byte each.
    pub const BOOL: i32 = 9;
    /// 64-bit floats.
    pub const DOUBLE: i32 = 11;
}

impl Tensor {
    /// A tensor of 64-bit floats.
    pub(crate) fn of_doubles(dims: &[usize], values: &[f64]) -> Self {
        Self::of_raw(data_type::DOUBLE, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of 64-bit integers.
    pub(crate) fn of_int64s(dims: &[usize], values: &[i64]) -> Self {
        Self::of_raw(data_type::INT64, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of bytes.
    pub(crate) fn of_uint8s(dims: &[usize], values: &[u8]) -> Self {
        Self::of_raw(data_type::UINT8, dims, values.to_vec())
    }

    /// A tensor of booleans.
    pub(crate) fn of_booleans(dims: &[usize], values: &[bool]) -> Self {
        Self::of_raw(data_type::BOOL, dims, values.iter().map(|v| u8::from(*v)).collect())
    }

    /// A tensor of texts.
    pub(crate) fn of_strings(dims: &[usize], values: &[&str]) -> Self {
        let mut tensor = Self::of_raw(data_type::STRING, dims, Vec::new());
        tensor.strings = values.iter().map(|v| v.as_bytes().to_vec()).collect();
        tensor
    }

    fn of_raw(data_type: i32, dims: &[usize], raw: Vec<u8>) -> Self {
        let dims = dims.iter().map(|d| *d as i64).collect();
        Tensor { dims, data_type, strings: Vec::new(), name: String::new(), raw }
    }

    /// The values of a tensor of 64-bit floats.
    pub(crate) fn doubles(&self) -> Result<Vec<f64>> {
        self.values(data_type::DOUBLE, f64::from_le_bytes)
    }

    /// The values of a tensor of bytes.
    pub(crate) fn uint8s(&self) -> Result<Vec<u8>> {
        self.values(data_type::UINT8, |[byte]: [u8; 1]| byte)
    }

    /// The values of a tensor of 64-bit integers.
    pub(crate) fn int64s(&self) -> Result<Vec<i64>> {
        self.values(data_type::INT64, i64::from_le_bytes)
    }

    fn values<const BYTES: usize, T>(&self, data_type: i32, read: impl Fn([u8; BYTES]) -> T) -> Result<Vec<T>> {
        if self.data_type != data_type {
            return Err(self.malformed(format!("data type {data_type}"), format!("data type {}", self.data_type)));
        }
        let (values, rest) = self.raw.as_chunks::<BYTES>();
        if !rest.is_empty() || self.element_count() != Some(values.len()) {
            return Err(self.malformed(format!("{:?} values", self.dims), format!("{} bytes", self.raw.len())));
        }
        Ok(values.iter().map(|v| read(*v)).collect())
    }

    /// The product of the axes' lengths, or `None` where one is negative or the product overflows.
    fn element_count(&self) -> Option<usize> {
        self.dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(usize::try_from(*dim).ok()?))
    }

    fn malformed(&self, expected: String, found: String) -> Error {
        Error::input(format!("malformed model: expected {expected} in the tensor `{}`, found {found}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_round_trip_bit_for_bit() {
        let values = [0.1, -0.0, f64::INFINITY, 5e-324];
        let back = Tensor::of_doubles(&[2, 2], &values).doubles().unwrap();
        assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.map(f64::to_bits));
        assert_eq!(Tensor::of_uint8s(&[2], &[0, 255]).uint8s().unwrap(), [0, 255]);
    }

    #[test]
    fn lengths_that_do_not_fit_the_axes_are_refused() {
        let good = Tensor::of_doubles(&[2], &[1.0, 2.0]);
        let with_dims = |dims: Vec<i64>| Tensor { dims, ..good.clone() };
        for dims in [vec![3], vec![-2], vec![i64::MAX, i64::MAX], vec![]] {
            assert!(with_dims(dims.clone()).doubles().is_err(), "{dims:?}");
        }
        assert!(Tensor { raw: vec![0; 15], ..good.clone() }.doubles().is_err());
        assert!(good.uint8s().is_err());
    }
}
