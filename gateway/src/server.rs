//! The listeners: one thread a core, each with its own socket, runtime, connections and lane.
//!
//! The kernel spreads connections over the cores' sockets (SO_REUSEPORT), so that a request never
//! changes threads. A drain stops taking connections, lets answers under way finish, and at its
//! deadline closes what is left. What this module does not do: TLS; a proxy in front ends it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config::LimitConfig;
use crate::connection::{Ending, Phase, Serving, Vital, WatchedStream, canned};
use crate::context::Context;
use crate::core::Core;
use crate::handler;
use crate::problem::Slug;

/// Connections that wait to be taken.
const BACKLOG: i32 = 4_096;

/// Pause after the system refused a connection (no file descriptors left).
const ACCEPT_PAUSE_MS: u64 = 50;

/// Connections of a core that are told at a time that there is no room.
const TURNED_AWAY_MAX: usize = 64;

/// How often connections are looked through, in ticks.
const PATIENCE_TICKS: u32 = 4;

/// Which listener a core serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Citizens.
    Public,
    /// Operators and monitoring.
    Operator,
}

/// Finds out whether another process listens there: with shared ports the system would not say so, and both
/// would get some of the connections. Connections of an earlier process that are not over yet do not count.
///
/// # Errors
/// When the address cannot be had alone.
pub(crate) fn ensure_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Opens a listening socket that shares its address with the other cores'.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs one core until the drain is done. Blocks its thread; `opened` is called once connections are taken.
///
/// # Errors
/// When the runtime cannot be built, or the journal gives no lane.
pub(crate) fn run_core(
    context: Arc<Context>,
    index: u8,
    listener: Listener,
    socket: std::net::TcpListener,
    open: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
    opened: impl FnOnce(),
) -> io::Result<()> {
    let core = Core::open(context, index).map_err(io::Error::other)?;
    // A core with nothing left at hand says so before it looks for more: the journal then need not wait for it.
    let (resting, working) = (core.submitter.lane(), core.submitter.lane());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || resting.set_resting(true))
        .on_thread_unpark(move || working.set_resting(false))
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let socket = TcpListener::from_std(socket)?;
        opened();
        Door::new(Rc::new(core), listener, open).run(socket, stop).await;
        Ok(())
    })
}

/// One core's connections.
struct Door {
    core: Rc<Core>,
    listener: Listener,
    /// Open connections over all cores of the listener.
    open: Arc<AtomicUsize>,
    connections: RefCell<HashMap<u64, Rc<Vital>>>,
    next: Cell<u64>,
    http: http1::Builder,
    draining: Cell<bool>,
    /// Held by everyone who is being told that there is no room.
    turned_away: Rc<()>,
}

impl Door {
    fn new(core: Rc<Core>, listener: Listener, open: Arc<AtomicUsize>) -> Rc<Door> {
        let mut http = http1::Builder::new();
        // Patience is measured by `Vital`: hyper's own timer would cost an allocation and a timer
        // per request, and could not tell a slow header from an idle connection. A client that closed
        // its half still gets the answer to what it sent: to notice that it left, hyper would prepare
        // to read, with a fresh buffer, during every request that waits for the journal.
        http.header_read_timeout(None)
            .max_buf_size(core.context.config.limits.header_bytes_max)
            // Answers are small: one buffer for head and body costs less than a gathering write.
            .writev(false)
            .half_close(true);
        Rc::new(Door {
            core,
            listener,
            open,
            connections: RefCell::new(HashMap::new()),
            next: Cell::new(0),
            http,
            draining: Cell::new(false),
            turned_away: Rc::new(()),
        })
    }

    async fn run(self: Rc<Door>, socket: TcpListener, mut stop: watch::Receiver<bool>) {
        tokio::task::spawn_local(Rc::clone(&self.core).run_inbox());
        let door = Rc::clone(&self);
        let ticks = Cell::new(0_u32);
        tokio::task::spawn_local(Rc::clone(&self.core).run_ticks(move || {
            ticks.set(ticks.get().wrapping_add(1));
            if ticks.get().is_multiple_of(PATIENCE_TICKS) {
                door.look_through();
            }
        }));
        if self.listener == Listener::Operator {
            tokio::task::spawn_local(crate::operator::tell_engine(Rc::clone(&self.core)));
        }
        loop {
            tokio::select! {
                taken = socket.accept() => match taken {
                    Ok((connection, from)) => self.take(connection, from),
                    Err(_) => tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await,
                },
                changed = stop.changed() => if changed.is_err() || *stop.borrow() { break },
            }
        }
        drop(socket);
        self.drain().await;
    }

    /// Lets answers under way finish, then closes what is left.
    async fn drain(&self) {
        self.draining.set(true);
        self.end_all(Ending::Graceful);
        let limits = &self.core.context.config.limits;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(limits.drain_ms_max);
        while !self.connections.borrow().is_empty() {
            if tokio::time::Instant::now() >= deadline {
                self.end_all(Ending::Abrupt);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn end_all(&self, ending: Ending) {
        for vital in self.connections.borrow().values() {
            let _ = vital.end(ending);
        }
    }

    fn limits(&self) -> &LimitConfig {
        &self.core.context.config.limits
    }

    /// Takes a connection, or turns it away when too many are open.
    fn take(self: &Rc<Door>, socket: TcpStream, from: SocketAddr) {
        let open_max = match self.listener {
            Listener::Public => self.limits().connections_max,
            Listener::Operator => self.limits().operator_connections_max,
        };
        self.core.counters.connections.add(1);
        if self.open.fetch_add(1, Ordering::AcqRel) >= open_max {
            self.open.fetch_sub(1, Ordering::AcqRel);
            self.core.counters.connections_refused.add(1);
            // Those who are told so hold a descriptor meanwhile: in a flood most are closed without a word.
            let told = Rc::clone(&self.turned_away);
            if Rc::strong_count(&told) <= TURNED_AWAY_MAX {
                let words = turn_away(socket, self.core.retry_after_s());
                tokio::task::spawn_local(async move {
                    words.await;
                    drop(told);
                });
            }
            return;
        }
        // Answers are whole when they are written; waiting for more would only delay them.
        let _ = socket.set_nodelay(true);
        tokio::task::spawn_local(Rc::clone(self).serve(socket, from));
    }

    async fn serve(self: Rc<Door>, socket: TcpStream, from: SocketAddr) {
        let vital = Rc::new(Vital::new(self.core.patience_clock()));
        let number = self.next.get();
        self.next.set(number + 1);
        self.connections.borrow_mut().insert(number, Rc::clone(&vital));
        if self.draining.get() {
            let _ = vital.end(Ending::Graceful);
        }
        let core = Rc::clone(&self.core);
        let (listener, during) = (self.listener, Rc::clone(&vital));
        let service = service_fn(move |request: Request<Incoming>| {
            let (core, vital) = (Rc::clone(&core), Rc::clone(&during));
            async move {
                let has_body = !request.body().is_end_stream();
                vital.begin_answer();
                let mut reply = handler::answer(&core, listener, from, request).await;
                if vital.is_last_answer(has_body) {
                    let close = hyper::header::HeaderValue::from_static("close");
                    reply.headers_mut().insert(hyper::header::CONNECTION, close);
                }
                vital.end_answer();
                Ok::<_, Infallible>(reply)
            }
        });
        let stream = WatchedStream::new(socket, Rc::clone(&vital));
        let connection = self.http.serve_connection(stream, service);
        Serving::new(connection, Rc::clone(&vital)).await;
        if vital.was_malformed() {
            self.core.counters.malformed.add(1);
        }
        self.connections.borrow_mut().remove(&number);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Ends connections that try our patience.
    fn look_through(&self) {
        let limits = self.limits();
        for vital in self.connections.borrow().values() {
            let (phase, spent_ms) = vital.phase();
            let ending = match phase {
                Phase::Head if spent_ms >= limits.header_wait_ms_max => Ending::Abrupt,
                // An answer that nobody takes is not idleness that ends in good order.
                Phase::Idle if spent_ms >= 2 * limits.idle_wait_ms_max => Ending::Abrupt,
                Phase::Idle if spent_ms >= limits.idle_wait_ms_max => Ending::Graceful,
                Phase::Idle | Phase::Head | Phase::Busy => continue,
            };
            if vital.end(ending) {
                self.core.counters.connections_timed_out.add(1);
            }
        }
    }
}

/// Says that there is no room, and closes.
async fn turn_away(mut socket: TcpStream, retry_after_s: u32) {
    let words = canned(Slug::Overloaded, Some(retry_after_s));
    let goodbye = async {
        // The client may be gone already; nothing is lost then.
        let _ = socket.write_all(&words).await;
        let _ = socket.shutdown().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}
