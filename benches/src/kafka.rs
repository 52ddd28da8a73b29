//! The same on one real Kafka broker, on the same cores: the journal alone, the product over HTTP beside
//! its embedded self, the take-over of a killed engine, and starts that cannot be.
//!
//! The broker is of class `single_broker`: it syncs every group it acknowledges.

mod clients;
mod installation;
mod product;
mod refusals;

use std::time::Duration;

use broker::{Cluster, ClusterOptions};

use crate::figures::{Figure, Summary, median};
use crate::part::{Part, Run};

/// On Kafka.
pub const PART: Part =
    Part { name: "kafka", title: "the same on one Kafka broker", measure, roles: &[] };

/// Rounds of the clients, each beside its peer.
const ROUNDS: usize = 3;
/// Time of one way in one round.
const TIME: Duration = Duration::from_millis(1_500);

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    // Both compilers of the Java machine, as in production.
    let java_options = "-XX:TieredStopAtLevel=4".to_owned();
    let cluster = Cluster::start(ClusterOptions { java_options, ..ClusterOptions::default() })?;
    clients_alone(&cluster, summary)?;
    product::measure(run, &cluster, summary)?;
    refusals::measure(run, &cluster, summary)
}

/// The journal's lanes beside one record a booking through the client library's convenient producer.
fn clients_alone(cluster: &Cluster, summary: &mut Summary) -> Result<(), String> {
    let config = installation::config(cluster, "clients.");
    installation::make_topics(&config)?;
    let (mut rates, mut peers, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let own = clients::through_the_journal(&config, TIME)?;
        let peer = clients::through_a_future_producer(&config, TIME)?;
        ratios.push(own / peer);
        rates.push(own);
        peers.push(peer);
    }
    summary.add(Figure {
        ratio: Some(median(&ratios)),
        ..Figure::against(
            "kafka_journal_vs_future_producer",
            median(&rates),
            "1/s",
            "FutureProducer, a record a booking",
            median(&peers),
        )
    });
    let read = clients::read_all(&config)?;
    summary.add(Figure::printed("kafka_commands_read_per_second", read, "1/s"));
    Ok(())
}
