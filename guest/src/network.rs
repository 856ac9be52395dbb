// SPDX-License-Identifier: GPL-2.0
//! A static IPv4 address for one interface, by the ioctls of netdevice(7).

use std::ffi::c_short;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::steps::StepError;

/// How long a driver may take to bring its interface, after its module was inserted.
const PATIENCE: Duration = Duration::from_secs(10);

nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_netmask, libc::SIOCSIFNETMASK, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(add_route, libc::SIOCADDRT, libc::rtentry);

/// Gives `interface` its address and brings it up.
pub(crate) fn configure(
    interface: &str,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Option<Ipv4Addr>,
) -> Result<(), StepError> {
    wait_for(interface)?;
    let failed = |errno: Errno| StepError::new(errno, interface);
    let control =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    bring_up(&control, "lo").map_err(failed)?;
    let with_address = |address: Ipv4Addr| -> Result<libc::ifreq, Errno> {
        let mut request = request(interface)?;
        request.ifr_ifru.ifru_addr = socket_address(address);
        Ok(request)
    };
    let request = with_address(address).map_err(failed)?;
    // SAFETY: the descriptor is an open socket, and the request an ifreq that lives until the call returns.
    unsafe { set_address(control.as_raw_fd(), &request) }.map_err(failed)?;
    let request = with_address(netmask(prefix)).map_err(failed)?;
    // SAFETY: as above.
    unsafe { set_netmask(control.as_raw_fd(), &request) }.map_err(failed)?;
    bring_up(&control, interface).map_err(failed)?;
    gateway.map_or(Ok(()), |gateway| default_route(&control, gateway)).map_err(failed)
}

fn wait_for(interface: &str) -> Result<(), StepError> {
    let path = Path::new("/sys/class/net").join(interface);
    let started = Instant::now();
    while !path.exists() {
        if started.elapsed() > PATIENCE {
            return Err(StepError::new(Errno::ENODEV, interface));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn bring_up(control: &OwnedFd, interface: &str) -> Result<(), Errno> {
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as c_short;
    // SAFETY: the descriptor is an open socket, and the request an ifreq that lives until the call returns.
    unsafe { set_flags(control.as_raw_fd(), &request) }.map(|_| ())
}

fn default_route(control: &OwnedFd, gateway: Ipv4Addr) -> Result<(), Errno> {
    // SAFETY: rtentry is plain data for which zero bytes are valid: numbers, and pointers that may be null.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = socket_address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    // SAFETY: the descriptor is an open socket, and the request an rtentry that lives until the call returns.
    unsafe { add_route(control.as_raw_fd(), &route) }.map(|_| ())
}

/// A request that names `interface` and says nothing else yet.
fn request(interface: &str) -> Result<libc::ifreq, Errno> {
    // SAFETY: ifreq is plain data for which zero bytes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    if interface.len() >= request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// `address` as the generic socket address that the ioctls take.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // A sockaddr_in is the family, the port (2 bytes), the address in network order, and padding.
    let mut data = [0; 14];
    for (place, byte) in data[2..6].iter_mut().zip(address.octets()) {
        *place = byte as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

/// The mask of `prefix` leading one bits.
fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        assert_eq!(netmask(24), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(netmask(0), Ipv4Addr::UNSPECIFIED);
        assert_eq!(netmask(32), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn socket_address_has_the_address_after_the_port() {
        let address = socket_address(Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!(address.sa_data[..8], [0, 0, 10, 0, 2, 15, 0, 0]);
    }

    #[test]
    fn long_interface_names_are_refused() {
        assert!(request("eth0").is_ok());
        assert_eq!(request("a-name-of-16-byt").err(), Some(Errno::ENAMETOOLONG));
    }
}
