//! The operator's listener of a process that has no gateway: an engine or a notifier of its own.
//!
//! It answers what monitoring asks (`/livez`, `/readyz`, `/metrics`), in the gateway's words, and takes the
//! one order an engine knows. It runs on a thread of its own, so that liveness never waits for a replay.
//!
//! Every connection carries one call and has one time limit: callers are few, and come seconds apart.
//! What this module deliberately does not do: any other call; a gateway has them.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use vault::Vault;

use crate::ServeError;
use crate::config::LimitConfig;
use crate::context::Attachments;
use crate::i18n::Language;
use crate::operator::{OperatorRoute, access, audit, health};
use crate::problem::{Problem, Slug};
use crate::reply::Reply;
use crate::{origin, server};

/// Pause after the system refused a connection (no file descriptors left).
const ACCEPT_PAUSE_MS: u64 = 50;
/// Who gave an order on this machine without a token, for the audit log.
const LOCAL: &str = "(this machine)";

/// A running listener. Dropping it ends it.
#[derive(Debug)]
pub struct Monitor {
    /// Where it listens; the real port where the configured one was 0.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the answers are made of.
struct Desk {
    attachments: Attachments,
    /// Opens operators' tokens; without it, an order is taken from this machine alone.
    vault: Option<Arc<Vault>>,
    call_wait: Duration,
    header_bytes_max: usize,
    /// Names this start in request ids.
    instance: u32,
    /// One place a connection.
    places: Arc<Semaphore>,
}

/// Starts a listener that answers from these checks, metrics and orders. With a vault an order needs an
/// operator's token; without one it is taken from callers on this machine only, who could as well stop
/// the process.
///
/// # Errors
/// When the address cannot be had, or the system refuses a thread.
pub fn monitor(
    address: SocketAddr,
    limits: &LimitConfig,
    vault: Option<Arc<Vault>>,
    attachments: Attachments,
) -> Result<Monitor, ServeError> {
    let failed = |cause| ServeError::Address { address, cause };
    server::ensure_free(address).map_err(failed)?;
    let socket = server::listen(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let desk = Desk {
        attachments,
        vault,
        call_wait: Duration::from_millis(limits.header_wait_ms_max),
        header_bytes_max: limits.header_bytes_max,
        instance: origin::new_instance(),
        places: Arc::new(Semaphore::new(limits.operator_connections_max)),
    };
    let stop = watch::Sender::new(false);
    let stopped = stop.subscribe();
    let (started, reports) = mpsc::channel();
    let thread = std::thread::Builder::new().name("monitor".to_owned()).spawn(move || {
        let opened = || drop(started.send(Ok(())));
        if let Err(error) = run(desk, socket, stopped, opened) {
            tracing::error!(%error, "the operator's listener stopped");
            // Nobody waits any more once it was open.
            let _ = started.send(Err(error));
        }
    })?;
    let monitor = Monitor { address, stop, thread: Some(thread) };
    reports.recv().unwrap_or_else(|_| Err(io::Error::other("the operator's listener stopped")))?;
    Ok(monitor)
}

impl Monitor {
    /// True when it answers nobody any more, though nobody told it to end.
    pub fn has_stopped(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic was reported by its thread.
            let _ = thread.join();
        }
    }
}

fn run(
    desk: Desk,
    socket: std::net::TcpListener,
    stop: watch::Receiver<bool>,
    opened: impl FnOnce(),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let socket = TcpListener::from_std(socket)?;
        opened();
        Rc::new(desk).take_calls(socket, stop).await;
        Ok(())
    })
}

impl Desk {
    async fn take_calls(self: Rc<Desk>, socket: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                taken = socket.accept() => match taken {
                    Ok((connection, from)) => {
                        // Beyond the limit a connection is closed at once.
                        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                            let desk = Rc::clone(&self);
                            tokio::task::spawn_local(async move {
                                desk.serve(connection, from).await;
                                drop(place);
                            });
                        }
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await,
                },
                changed = stop.changed() => if changed.is_err() || *stop.borrow() { break },
            }
        }
    }

    async fn serve(&self, connection: TcpStream, from: SocketAddr) {
        let service = service_fn(|request| {
            let reply = self.answer(from.ip(), &request);
            async move { Ok::<_, Infallible>(reply) }
        });
        let mut http = http1::Builder::new();
        http.keep_alive(false).max_buf_size(self.header_bytes_max);
        let served = http.serve_connection(TokioIo::new(connection), service);
        // Who is slower, or sends something else than HTTP, gets no answer.
        let _ = tokio::time::timeout(self.call_wait, served).await;
    }

    fn answer(&self, from: IpAddr, request: &Request<Incoming>) -> Reply {
        let request_id = format!("{:08x}", self.instance);
        self.routed(from, request, &request_id).unwrap_or_else(|problem| {
            problem.into_reply(Language::of(request.headers()), &request_id)
        })
    }

    fn routed(
        &self,
        from: IpAddr,
        request: &Request<Incoming>,
        request_id: &str,
    ) -> Result<Reply, Problem> {
        let known = OperatorRoute::find(request.uri().path()).filter(|route| {
            matches!(
                route,
                OperatorRoute::Livez
                    | OperatorRoute::Readyz
                    | OperatorRoute::Metrics
                    | OperatorRoute::AcceptTime
            )
        });
        let route = known.ok_or(Slug::NotFound)?;
        if !route.takes(request.method()) {
            return Err(Problem::from(Slug::MethodNotAllowed).allow(route.allow()));
        }
        match route {
            OperatorRoute::Livez => Ok(health::plain("ok\n")),
            OperatorRoute::Readyz => {
                Ok(health::ready_reply(health::attached(&self.attachments.readiness).collect()))
            }
            OperatorRoute::Metrics => {
                let mut out = String::new();
                self.attachments.metrics.iter().for_each(|write| write(&mut out));
                Ok(health::plain(out))
            }
            _ => self.ordered(route, from, request, request_id),
        }
    }

    /// `POST /v1/engine:accept-time`
    fn ordered(
        &self,
        route: OperatorRoute<'_>,
        from: IpAddr,
        request: &Request<Incoming>,
        request_id: &str,
    ) -> Result<Reply, Problem> {
        let operator = match (&self.vault, route.role()) {
            (Some(vault), Some(role)) => access::operator(vault, request.headers(), role)?.name,
            _ if from.to_canonical().is_loopback() => LOCAL.to_owned(),
            _ => return Err(Slug::NotPermitted.into()),
        };
        let result = health::time_accepted(self.attachments.accept_time.as_ref());
        audit(route, &operator, request_id, &result);
        result
    }
}
