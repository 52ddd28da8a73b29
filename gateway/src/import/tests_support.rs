//! Short forms of errors for the tables of the tests.

use domain::Millis;

use super::{BodyError, Limits, Reading, RowError};

impl Reading {
    /// Noon of 2021-07-13 in Taiwan, with small limits.
    pub(super) fn for_tests() -> Reading {
        Reading {
            limits: Limits { rows_max: 1_000, bytes_max: 1 << 20, errors_max: 20 },
            now: Millis(1_626_148_800_000),
        }
    }
}

/// Errors as `line:field:code`.
pub(super) fn codes(result: Result<u32, Vec<RowError>>) -> Result<u32, Vec<String>> {
    result.map_err(|errors| {
        errors
            .iter()
            .map(|error| format!("{}:{}:{}", error.line, error.field, error.reason.code()))
            .collect()
    })
}

/// Errors as `pointer:code`.
pub(super) fn body_codes(errors: &[BodyError]) -> Vec<String> {
    errors.iter().map(|error| format!("{}:{}", error.pointer, error.reason.code())).collect()
}
