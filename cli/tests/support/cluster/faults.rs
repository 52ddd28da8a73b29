//! What may happen to an installation, each with the time until decisions flow again.

use std::time::{Duration, Instant};

use super::flow::Flow;
use super::supervised::Supervised;
use super::{BROKERS, Installation, is_active, is_standby};
use crate::support::fleet::Kind;
use crate::support::{PATIENCE, next, wait_until};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A broker ends in order, and comes back.
    BrokerStop,
    /// kill -9 of a broker.
    BrokerKill,
    /// kill -9 of the broker that leads `commands`.
    LeaderKill,
    /// The broker that leads `commands` is paused until another leads, and wakes in the belief that it
    /// still does.
    LeaderPause,
    /// kill -9 of the active engine: the other takes over, and the killed one stands by.
    EngineKill,
    /// kill -9 of both engines; two start at the same instant, some without their data.
    EnginePair,
    /// kill -9 of the active notifier, which comes back as the standby, sometimes without its data.
    NotifierKill,
    /// kill -9 of a gateway, which comes back.
    GatewayKill,
    /// The active engine is paused until the other has taken over, and wakes.
    EnginePause,
    /// The same with the active notifier.
    NotifierPause,
    /// A gateway is paused for some seconds.
    GatewayPause,
}

/// Where it happens, and what is watched meanwhile.
pub struct Scene<'a> {
    pub installation: &'a Installation,
    pub flow: &'a mut Flow,
    pub random: &'a mut u64,
    /// Decisions must flow again within this time.
    pub limit: Duration,
}

impl Scene<'_> {
    /// Lets it happen and mends it; the time from the fault to the first decision of a request made
    /// after it.
    pub fn happens(&mut self, fault: Fault) -> Duration {
        let installation = self.installation;
        let (engines, notifiers) = (&installation.engines, &installation.notifiers);
        match fault {
            Fault::BrokerStop | Fault::BrokerKill => {
                let node = 1 + self.below(BROKERS.into()) as u8;
                self.broker_dies(node, fault == Fault::BrokerKill)
            }
            Fault::LeaderKill => self.broker_dies(installation.leader("commands"), true),
            Fault::LeaderPause => self.leader_is_paused(),
            Fault::EngineKill => self.active_dies(engines),
            Fault::NotifierKill => self.active_dies(notifiers),
            Fault::EnginePair => self.engines_start_at_once(),
            Fault::EnginePause => self.active_is_paused(engines),
            Fault::NotifierPause => self.active_is_paused(notifiers),
            Fault::GatewayKill => self.gateway_dies(),
            Fault::GatewayPause => self.gateway_is_paused(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        next(self.random) % limit
    }

    /// Waits for decisions of requests made from now on.
    fn flows_again(&mut self, since: Instant, what: &str) -> Duration {
        self.flow.skip_to_now();
        let flows = self.flow.first_decision(since, self.limit);
        flows.unwrap_or_else(|| panic!("{what}: nothing was decided within {:?}", self.limit))
    }

    fn broker_dies(&mut self, node: u8, at_once: bool) -> Duration {
        let kafka = self.installation.kafka();
        let began = Instant::now();
        let died = if at_once { kafka.kill_node(node) } else { kafka.stop_node(node) };
        died.unwrap();
        let took = self.flows_again(began, "a broker died");
        self.await_members_alive();
        self.installation.bring_back(node);
        took
    }

    fn leader_is_paused(&mut self) -> Duration {
        let kafka = self.installation.kafka();
        let node = self.installation.leader("commands");
        let began = Instant::now();
        kafka.pause_node(node).unwrap();
        let took = self.flows_again(began, "the leader was paused");
        self.await_members_alive();
        kafka.resume_node(node).unwrap();
        kafka.await_in_sync(PATIENCE).unwrap();
        took
    }

    fn await_members_alive(&self) {
        for member in self.installation.members() {
            wait_until(&format!("{} lives", member.name), || {
                member.get("/livez").is_some_and(|(status, _)| status == 200)
            });
        }
    }

    /// kill -9 of the active one; the other takes over, and the first comes back as the standby.
    fn active_dies(&mut self, pair: &[Supervised]) -> Duration {
        let (active, standby) = Installation::active_of(pair);
        let loses_data = self.below(3) == 0;
        let began = Instant::now();
        pair[active].kill();
        let took = self.flows_again(began, &pair[active].name);
        wait_until(&format!("{} takes over", pair[standby].name), || is_active(&pair[standby]));
        if loses_data {
            pair[active].lose_data();
        }
        pair[active].start();
        one_writes(pair);
        took
    }

    fn engines_start_at_once(&mut self) -> Duration {
        let pair = &self.installation.engines;
        let lost = self.below(4);
        let began = Instant::now();
        for (place, engine) in pair.iter().enumerate() {
            engine.kill();
            if lost & 1 << place != 0 {
                engine.lose_data();
            }
        }
        pair.iter().for_each(Supervised::start);
        let took = self.flows_again(began, "two engines started");
        one_writes(pair);
        took
    }

    /// A zombie: it is paused until the other has taken over, wakes in the belief that it is active,
    /// and must stand down.
    fn active_is_paused(&mut self, pair: &[Supervised]) -> Duration {
        let (active, standby) = Installation::active_of(pair);
        let began = Instant::now();
        pair[active].pause();
        let took = self.flows_again(began, &pair[active].name);
        wait_until(&format!("{} takes over", pair[standby].name), || is_active(&pair[standby]));
        pair[active].resume();
        one_writes(pair);
        took
    }

    fn gateway_dies(&mut self) -> Duration {
        let place = self.below(2) as usize;
        let gateway = &self.installation.gateways[place];
        let began = Instant::now();
        gateway.kill();
        gateway.start();
        let took = self.flows_again(began, &gateway.name);
        gateway.wait_ready();
        took
    }

    /// The other gateway goes on; what waits at this one is answered late, or asked again elsewhere.
    fn gateway_is_paused(&mut self) -> Duration {
        let place = self.below(2) as usize;
        let gateway = &self.installation.gateways[place];
        let pause = Duration::from_millis(2_000 + self.below(6_000));
        let began = Instant::now();
        gateway.pause();
        let took = self.flows_again(began, &gateway.name);
        std::thread::sleep(pause.saturating_sub(began.elapsed()));
        gateway.resume();
        gateway.wait_ready();
        took
    }
}

/// Waits until exactly one of them writes and the other stands by, in the same epoch.
fn one_writes(pair: &[Supervised]) {
    let kind = pair[0].kind;
    wait_until(&format!("one {} writes and one stands by", kind.verb()), || {
        let settled = pair.iter().filter(|member| is_active(member)).count() == 1
            && pair.iter().filter(|member| is_standby(member)).count() == 1;
        settled && (kind != Kind::Engine || have_same_epoch(pair))
    });
}

fn have_same_epoch(engines: &[Supervised]) -> bool {
    let epoch = |engine: &Supervised| engine.figure("slotline_engine_epoch");
    epoch(&engines[0]).is_some() && epoch(&engines[0]) == epoch(&engines[1])
}

/// kill -9 of the active engine under load: seconds until the first decision of a request made after it.
pub fn takeover_seconds(
    installation: &Installation,
    flow: &mut Flow,
    random: &mut u64,
    limit: Duration,
) -> f64 {
    let mut scene = Scene { installation, flow, random, limit };
    scene.happens(Fault::EngineKill).as_secs_f64()
}
