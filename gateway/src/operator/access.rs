//! Who calls: the bearer token of an operator.
//!
//! What this module does not do: say which call takes which role (`route`).

use hyper::HeaderMap;
use vault::{OperatorClaims, OperatorTokenError, Role, Vault};

use crate::caller::bearer;
use crate::context::now;
use crate::problem::{Problem, Slug};

/// The operator whose token this is, if it holds the role.
///
/// # Errors
/// 401 without a token that holds, 403 for another role and for a citizen's token.
pub(crate) fn operator(
    vault: &Vault,
    headers: &HeaderMap,
    role: Role,
) -> Result<OperatorClaims, Problem> {
    let token = bearer(headers).ok_or(Slug::NotAuthenticated)?;
    let now_s = u64::try_from(now().0 / 1_000).unwrap_or(0);
    match vault.open_operator_token(token, now_s) {
        Ok(claims) if claims.roles.allow(role) => Ok(claims),
        Ok(_) => Err(Slug::NotPermitted.into()),
        Err(OperatorTokenError::Expired) => Err(Slug::TokenExpired.into()),
        Err(_) if vault.open_token(token, now_s).is_ok() => Err(Slug::NotPermitted.into()),
        Err(_) => Err(Slug::NotAuthenticated.into()),
    }
}
