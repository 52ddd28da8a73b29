//! File descriptors: as many as the system gives, and some that no connection takes.
//!
//! Idle connections must never leave the journal or a store without a descriptor for its next file. What
//! this module does not do: count what is open.

use gateway::GatewayConfig;

/// Descriptors kept for files: segments, the four stores, listeners, a broker's connections.
const FOR_FILES: u64 = 1_536;

/// Raises the limit as far as it goes, and lets the gateway take no more connections than leave room for
/// files.
pub(super) fn fit(config: &mut GatewayConfig) {
    let limit = match journal::raise_descriptor_limit() {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read; connections are limited by the settings alone");
            return;
        }
    };
    let limits = &mut config.limits;
    let (public, operators) =
        shares(limit, limits.connections_max, limits.operator_connections_max);
    if (public, operators) != (limits.connections_max, limits.operator_connections_max) {
        tracing::warn!(
            limit,
            wanted = limits.connections_max,
            taken = public,
            operators,
            "the limit of open files is too low for gateway.limits.connections_max = {}: no more than {public} connections are taken; raise the limit (LimitNOFILE, ulimit -Hn)",
            limits.connections_max
        );
    }
    (limits.connections_max, limits.operator_connections_max) = (public, operators);
}

/// Connections of citizens and of operators under a limit of descriptors.
fn shares(limit: u64, public: usize, operators: usize) -> (usize, usize) {
    // A small limit is halved: some must be let in.
    let room = limit - FOR_FILES.min(limit / 2);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let operators = operators.min((room / 8).max(1));
    (public.min((room - operators.min(room)).max(1)), operators)
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn a_high_limit_changes_nothing() {
        assert_eq!(shares(65_536, 50_000, 1_000), (50_000, 1_000));
        assert_eq!(shares(u64::MAX, 50_000, 1_000), (50_000, 1_000));
    }

    #[test]
    fn files_always_have_their_share() {
        for limit in [16_u64, 100, 256, 1_024, 4_096, 20_000, 50_000] {
            let (public, operators) = shares(limit, 50_000, 1_000);
            assert!(public >= 1 && operators >= 1);
            let files = limit - (public + operators) as u64;
            assert!(files >= (limit / 2).min(1_536), "{limit}: {public} + {operators}");
        }
        assert_eq!(shares(20_000, 50_000, 1_000), (17_464, 1_000));
    }
}
