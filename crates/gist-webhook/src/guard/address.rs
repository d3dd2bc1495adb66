//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: u16, second: u16, third: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), length)
}

/// IPv4 networks that lead nowhere else but in here, or nowhere at all (RFC 6890 and its successors).
const REFUSED_V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 0, 8), "an address of this machine"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "an address of a provider's own network"),
    (v4(127, 0, 0, 0, 8), "an address of this machine"),
    (v4(169, 254, 0, 0, 16), "a link-local address, where clouds keep credentials"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a reserved address"),
    (v4(192, 0, 2, 0, 24), "an address for documentation"),
    (v4(192, 88, 99, 0, 24), "a reserved address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address for benchmarks"),
    (v4(198, 51, 100, 0, 24), "an address for documentation"),
    (v4(203, 0, 113, 0, 24), "an address for documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// IPv6 networks, the more special ones first.
const REFUSED_V6: [(Ipv6Net, &str); 10] = [
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "an address of this machine"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "an address of this machine"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96), "an IPv4 address written as IPv6"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "an IPv4 address written as IPv6"),
    (v6(0xfc00, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 10), "a link-local address"),
    (v6(0xff00, 0, 0, 8), "a multicast address"),
    (v6(0x64, 0xff9b, 1, 48), "an address of a network's own translation"),
    (v6(0x2001, 0xdb8, 0, 32), "an address for documentation"),
    (v6(0x3fff, 0, 0, 20), "an address for documentation"),
];

/// All that is given to machines on the internet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);
/// IETF's own protocols, none of which is a server's; Teredo is among them.
const PROTOCOLS_V6: Ipv6Net = v6(0x2001, 0, 0, 23);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 32);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);
/// How a network without IPv4 reaches an IPv4 address: as good as the address it carries.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// Why nothing may be sent to `address`; `None` when it is public, or in one of the networks of `allowed`, as itself or
/// as the IPv4 address it carries.
pub fn refusal(address: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
    let is_allowed = |address: IpAddr| allowed.iter().any(|net| net.contains(&address));
    if is_allowed(address) {
        return None;
    }
    let address = match address {
        IpAddr::V4(address) => return refusal_v4(address),
        IpAddr::V6(address) => address,
    };
    let carried = carried(address);
    if !carried.is_empty() && carried.iter().all(|address| is_allowed((*address).into())) {
        return None;
    }
    let special = REFUSED_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why);
    let carried = || carried.iter().find_map(|address| refusal_v4(*address));
    special.or_else(carried).or_else(|| {
        let ietf = PROTOCOLS_V6.contains(&address) && !TEREDO.contains(&address);
        let global = GLOBAL_V6.contains(&address) || NAT64.contains(&address);
        (ietf || !global).then_some("a reserved address")
    })
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why)
}

/// The IPv4 addresses that something on the way may send on to.
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [_, s1, s2, s3, _, _, s6, s7] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(address) = address.to_ipv4() {
        // Mapped (::ffff:a.b.c.d) and compatible (::a.b.c.d), the latter not for :: and ::1.
        return if address.to_bits() <= 1 { Vec::new() } else { vec![address] };
    }
    if NAT64.contains(&address) {
        vec![join(s6, s7)]
    } else if SIX_TO_FOUR.contains(&address) {
        vec![join(s1, s2)]
    } else if TEREDO.contains(&address) {
        // The server, and the client behind its NAT with all bits turned.
        vec![join(s2, s3), join(!s6, !s7)]
    } else {
        Vec::new()
    }
}
