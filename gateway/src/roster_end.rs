//! How far `roster` reached when somebody was about to be refused, where other gateways import too.
//!
//! A person of a roster that another gateway took in a moment ago may come here before this gateway's view
//! has it. So nobody is refused before the view has read what stood there when they came. Wrong logins are
//! as many as strangers please: they all share one question, and questions keep a distance. Where this
//! gateway alone writes, nobody asks anything.
//!
//! What this module does not do: count failures; they count before anybody waits (`handler::identity`).

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use journal::{Position, Stream};
use tokio::sync::watch;

use crate::context::Context;
use crate::looks::Looks;

/// Least time between two looks: at most twenty questions a second, whatever comes in.
const INTERVAL_MS: u64 = 50;

/// What is known of the end of `roster`.
pub(crate) struct RosterEnd {
    looks: Looks,
    /// The last look, and where the stream ended then.
    found: watch::Sender<(u64, Position)>,
}

impl RosterEnd {
    pub(crate) fn new() -> RosterEnd {
        RosterEnd {
            looks: Looks::new(Duration::from_millis(INTERVAL_MS)),
            found: watch::Sender::new((0, Position::START)),
        }
    }

    /// Waits until this gateway's roster has what stood there when this was called, at most
    /// `view_wait_ms_max`. True when it has read more than up to `seen`: it is worth asking it again.
    pub(crate) async fn reached(&self, context: &Context, seen: Position) -> bool {
        if !context.horizon.is_shared() {
            return false;
        }
        let wait = Duration::from_millis(context.config.request.view_wait_ms_max);
        let mut progress = context.roster.progress();
        let look = self.looks.ask();
        let mut found = self.found.subscribe();
        let reached = async {
            let Ok(end) = found.wait_for(|(made, _)| *made >= look).await.map(|found| found.1)
            else {
                return;
            };
            let _ = progress.wait_for(|read| read.position >= end || !read.running).await;
        };
        // In doubt the answer stays what it was: an outage must not make it easier to guess.
        let _ = tokio::time::timeout(wait, reached).await;
        let now = context.roster.progress().borrow().position;
        now > seen
    }
}

/// Looks whenever somebody asks, until told to stop. Runs on a thread of its own.
pub(crate) fn run(context: &Context, stop: &AtomicBool) {
    let end = &context.roster_end;
    end.looks.run(stop, |look| {
        let position = context.journal.durable_end(Stream::Roster)?;
        end.found.send_replace((look, position));
        Ok(())
    });
}
