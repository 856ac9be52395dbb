// SPDX-License-Identifier: GPL-2.0
//! A proxy on loopback between an SMB client and a server, which passes everything on but for the
//! replies that a [`Tamper`] changes.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::frames::{Conversation, LeftOpen, Spoil};

/// Looks at the frames of one connection, and changes some of the server's.
pub(crate) trait Tamper: Send + 'static {
    /// What tells of one change.
    type Change: Clone + std::fmt::Debug + Send + 'static;

    /// Takes note of a frame of the client, without its transport header.
    fn request(&mut self, frame: &[u8]);

    /// Changes what is to be changed in a frame of the server; gives what was done.
    fn reply(&mut self, frame: &mut Vec<u8>) -> Vec<Self::Change>;
}

impl Tamper for Conversation {
    type Change = Spoil;

    fn request(&mut self, frame: &[u8]) {
        Self::request(self, frame);
    }

    fn reply(&mut self, frame: &mut Vec<u8>) -> Vec<Spoil> {
        Self::reply(self, frame)
    }
}

/// Connections in one life. A client makes one, and a few more if it thinks that one broken.
const CONNECTIONS: usize = 16;

/// What the proxy's threads share.
#[derive(Debug)]
struct Shared<C> {
    stop: AtomicBool,
    spoilt: Mutex<Vec<C>>,
    connections: Mutex<usize>,
}

/// A running proxy; when dropped, its connections are cut and its threads have ended.
#[derive(Debug)]
pub(crate) struct Proxy<C = Spoil> {
    port: u16,
    shared: Arc<Shared<C>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before the server that listens on `server` of 127.0.0.1, which spoils the replies to
    /// CREATE that the name of a file asks for, and what it knows of handles that were not closed.
    pub(crate) fn before(server: u16) -> io::Result<(Self, LeftOpen)> {
        let left_open = LeftOpen::default();
        let told = Arc::clone(&left_open);
        Ok((Self::tampering(server, move || Conversation::telling(&told))?, left_open))
    }
}

impl<C: Clone + Send + 'static> Proxy<C> {
    /// A proxy before the server that listens on `server` of 127.0.0.1; `tamper` makes what looks
    /// at one connection.
    pub(crate) fn tampering<T: Tamper<Change = C>>(
        server: u16,
        tamper: impl Fn() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            spoilt: Mutex::default(),
            connections: Mutex::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, server, &shared, &tamper))
        };
        Ok(Self { port, shared, acceptor: Some(acceptor) })
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The replies that were spoilt, in order.
    pub(crate) fn spoilt(&self) -> Vec<C> {
        self.shared.spoilt.lock().expect("no holder panics").clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().expect("no holder panics")
    }
}

impl<C> Drop for Proxy<C> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

/// Takes connections until told to stop, then ends them all.
fn accept<T: Tamper>(
    listener: &TcpListener,
    server: u16,
    shared: &Arc<Shared<T::Change>>,
    tamper: &impl Fn() -> T,
) {
    let mut relays = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        // Beyond the limit a connection is closed at once.
        if relays.len() < CONNECTIONS
            && let Ok(relay) = Relay::between(client, server, shared, tamper())
        {
            relays.push(relay);
            *shared.connections.lock().expect("no holder panics") += 1;
        }
    }
}

/// One connection, passed on by two threads; when dropped, both have ended.
struct Relay {
    ends: [TcpStream; 2],
    pumps: Vec<JoinHandle<()>>,
}

impl Relay {
    fn between<T: Tamper>(
        client: TcpStream,
        server: u16,
        shared: &Arc<Shared<T::Change>>,
        tamper: T,
    ) -> io::Result<Self> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        let ends = [client.try_clone()?, server.try_clone()?];
        let tamper = Arc::new(Mutex::new(tamper));
        let requests = {
            let (from, to) = (client.try_clone()?, server.try_clone()?);
            let tamper = Arc::clone(&tamper);
            let note = move |frame: &mut Vec<u8>| tamper.lock().expect("no panic").request(frame);
            thread::spawn(move || pump(from, to, note))
        };
        let shared = Arc::clone(shared);
        let spoil = move |frame: &mut Vec<u8>| {
            let done = tamper.lock().expect("no panic").reply(frame);
            shared.spoilt.lock().expect("no holder panics").extend(done);
        };
        let replies = thread::spawn(move || pump(server, client, spoil));
        Ok(Self { ends, pumps: vec![requests, replies] })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for end in &self.ends {
            end.shutdown(Shutdown::Both).ok();
        }
        for pump in self.pumps.drain(..) {
            pump.join().ok();
        }
    }
}

/// Passes frames on, each through `change`, until one side has ended; then ends the other.
fn pump(mut from: TcpStream, mut to: TcpStream, mut change: impl FnMut(&mut Vec<u8>)) {
    while let Ok(mut frame) = read_frame(&mut from) {
        change(&mut frame);
        if write_frame(&mut to, &frame).is_err() {
            break;
        }
    }
    for end in [from, to] {
        end.shutdown(Shutdown::Both).ok();
    }
}

/// Reads one frame of direct TCP (MS-SMB2 2.1): a zero, the length in three bytes, the messages.
fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head);
    if head[0] != 0 {
        return Err(io::Error::other("no frame of direct TCP"));
    }
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(to: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    // Written as one, so that it leaves as one.
    to.write_all(&[&length.to_be_bytes(), frame].concat())
}
