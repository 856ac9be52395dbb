// SPDX-License-Identifier: GPL-2.0
//! A static IPv4 address for one interface, by messages of rtnetlink(7).

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use vm_protocol::Errno;

use crate::step_error::StepError;

/// How long a driver may take to bring its interface, after its module was inserted.
const PATIENCE: Duration = Duration::from_secs(10);

// Of include/uapi/linux/netlink.h, rtnetlink.h, if_addr.h and if.h.
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const AF_INET: u8 = 2;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Gives `interface` its address and brings it up, and the loopback interface too.
pub(crate) fn configure(
    interface: &str,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Option<Ipv4Addr>,
) -> Result<(), StepError> {
    wait_for(interface)?;
    set_up(interface, address, prefix, gateway).map_err(|error| StepError::of(interface, error))
}

fn wait_for(interface: &str) -> Result<(), StepError> {
    let path = Path::new("/sys/class/net").join(interface);
    let started = Instant::now();
    while !path.exists() {
        if started.elapsed() > PATIENCE {
            let message = format!("{interface}: no such network interface after {} s", PATIENCE.as_secs());
            return Err(StepError::new(Errno::ENODEV, message));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn set_up(interface: &str, address: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr>) -> io::Result<()> {
    let kernel = open()?;
    let (loopback, interface) = (index("lo")?, index(interface)?);
    ask(&kernel, &bring_up(loopback))?;
    ask(&kernel, &add_address(interface, address, prefix))?;
    ask(&kernel, &bring_up(interface))?;
    gateway.map_or(Ok(()), |gateway| ask(&kernel, &add_default_route(interface, gateway)))
}

/// A socket that the kernel's network configuration is at the other end of (`NETLINK_ROUTE`, which
/// is protocol 0).
fn open() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?)
}

/// The number of an interface.
fn index(interface: &str) -> io::Result<u32> {
    let text = fs::read_to_string(Path::new("/sys/class/net").join(interface).join("ifindex"))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("ifindex: {text:?}")))
}

/// Sends a request and waits for the answer.
fn ask(kernel: &OwnedFd, request: &[u8]) -> io::Result<()> {
    send(kernel, request, SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (_, length) = recv(kernel, &mut answer, RecvFlags::empty())?;
    acknowledged(&answer[..length])
}

/// Whether an answer says that the request was done: it is an error message with the number 0.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let field = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match (kind, field(HEADER).map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::Error::other("the kernel's answer is not an acknowledgement")),
    }
}

/// A message: `struct nlmsghdr`, then `body`.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("a request is short");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
    // Sequence number and port: answers come one at a time, and from the kernel only.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// An attribute of four bytes: `struct rtattr`, then the value.
fn attribute(kind: u16, value: [u8; 4]) -> Vec<u8> {
    [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
}

/// `struct ifinfomsg`: family, padding, type, index, flags, and which of the flags change.
fn bring_up(interface: u32) -> Vec<u8> {
    let numbers = [interface, IFF_UP, IFF_UP].map(u32::to_ne_bytes).concat();
    message(RTM_NEWLINK, 0, &[&[0; 4][..], &numbers].concat())
}

/// `struct ifaddrmsg`: family, prefix, flags, scope, index.
fn add_address(interface: u32, address: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let head = [AF_INET, prefix, 0, RT_SCOPE_UNIVERSE];
    let (local, remote) = (attribute(IFA_LOCAL, address.octets()), attribute(IFA_ADDRESS, address.octets()));
    let body = [&head[..], &interface.to_ne_bytes(), &local, &remote].concat();
    message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body)
}

/// `struct rtmsg`: family, prefixes of destination and source, type of service, table, who added
/// it, scope, type, flags. A destination of no bits is any.
fn add_default_route(interface: u32, gateway: Ipv4Addr) -> Vec<u8> {
    let head = [AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST];
    let by = attribute(RTA_OIF, interface.to_ne_bytes());
    let body = [&head[..], &[0; 4], &attribute(RTA_GATEWAY, gateway.octets()), &by].concat();
    message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_long_it_is() {
        let address = Ipv4Addr::new(10, 0, 2, 15);
        for request in [bring_up(1), add_address(2, address, 24), add_default_route(2, address)] {
            let length = u32::from_ne_bytes(request[..4].try_into().unwrap());
            assert_eq!(length as usize, request.len());
            assert_eq!(request.len() % 4, 0);
        }
        assert_eq!(bring_up(1).len(), HEADER + 16);
        assert_eq!(add_address(1, address, 24).len(), HEADER + 8 + 2 * 8);
        assert_eq!(add_default_route(1, address).len(), HEADER + 12 + 2 * 8);
    }

    #[test]
    fn an_acknowledgement_is_an_error_of_number_0() {
        let answer = |number: i32| [&message(NLMSG_ERROR, 0, &[])[..], &number.to_ne_bytes()].concat();
        assert!(acknowledged(&answer(0)).is_ok());
        assert_eq!(acknowledged(&answer(-17)).unwrap_err().raw_os_error(), Some(17));
        for other in [message(RTM_NEWLINK, 0, &[0; 4]), Vec::new(), vec![0; 3]] {
            assert!(acknowledged(&other).is_err());
        }
    }

    /// Asks this machine's kernel, which an ordinary user cannot have changed.
    #[test]
    fn the_kernel_reads_the_messages() {
        let kernel = open().unwrap();
        // There is no such interface: the request was understood as far as that, or not allowed.
        let absent = 0x7fff_fffe;
        let address = Ipv4Addr::new(192, 0, 2, 1);
        for request in [bring_up(absent), add_address(absent, address, 24)] {
            let number = ask(&kernel, &request).unwrap_err().raw_os_error();
            let expected = [Errno::ENODEV, Errno::EPERM].map(|errno| Some(errno.raw()));
            assert!(expected.contains(&number), "{number:?}");
        }
    }
}
