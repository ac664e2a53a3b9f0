//! Which process opened a call, and whether it still lives.

use std::path::Path;

use super::lease;
use crate::domain::record::OwnerState;

/// A process, so that no later one with its number is taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// The machine.
    pub(super) host: String,
    /// The machine's run since it was started; empty where the system does not tell.
    pub(super) boot: String,
    /// The namespace that `pid` counts in.
    pub(super) pid_space: String,
    pub(super) pid: u32,
    /// When the process began, in the system's own unit, or a mark that no other process has.
    pub(super) start: String,
}

impl Owner {
    /// This process.
    pub(super) fn current() -> Owner {
        let pid = std::process::id();
        Owner {
            host: host(),
            boot: boot(),
            pid_space: pid_space(),
            pid,
            start: start_of(pid).unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string()),
        }
    }

    /// What its leases' names begin with.
    pub(super) fn mark(&self) -> String {
        format!("{}-{}-{}", self.pid, self.start, self.pid_space)
    }

    /// Judged by `here`: a held lease in `leases` or the very process is *running*, another boot or none of both is *dead*,
    /// another host cannot be judged.
    pub(super) fn state(&self, here: &Owner, leases: &Path) -> OwnerState {
        if self.boot != here.boot || (self.boot.is_empty() && self.host != here.host) {
            return if self.host == here.host { OwnerState::Dead } else { OwnerState::Elsewhere };
        }
        let seen = self.pid_space == here.pid_space && start_of(self.pid).is_some_and(|start| start == self.start);
        if seen || lease::is_held(leases, &self.mark()) { OwnerState::Running } else { OwnerState::Dead }
    }
}

/// A fingerprint: the machine's own id is not for others to see.
fn host() -> String {
    let id = machine().unwrap_or_else(|| "unknown".into());
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("llmx-host\n{id}").as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
fn machine() -> Option<String> {
    let id = std::fs::read_to_string("/etc/machine-id").ok().filter(|id| !id.trim().is_empty());
    id.or_else(|| Some(rustix::system::uname().nodename().to_string_lossy().into_owned()))
}

#[cfg(not(unix))]
fn machine() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(target_os = "linux")]
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn boot() -> String {
    String::new()
}

/// The number in `pid:[4026531836]`.
#[cfg(target_os = "linux")]
fn pid_space() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

#[cfg(not(target_os = "linux"))]
fn pid_space() -> String {
    String::new()
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)), in clock ticks since the boot. The name before it may hold anything but ends
/// with the last `)`.
#[cfg(target_os = "linux")]
fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(not(target_os = "linux"))]
fn start_of(_: u32) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::Owner;
    use crate::domain::record::OwnerState;
    use crate::ledger::lease::Lease;

    #[test]
    fn an_owner_is_running_while_its_lease_or_its_process_lives() {
        let leases = tempfile::tempdir().expect("a folder");
        let here = Owner::current();
        let lives = |owner: &Owner| owner.state(&here, leases.path());
        if cfg!(target_os = "linux") {
            assert_eq!(lives(&here), OwnerState::Running);
        }
        // The same number, another process.
        let earlier = Owner { start: "1".into(), ..here.clone() };
        assert_eq!(lives(&earlier), OwnerState::Dead);
        // In another container on the same kernel only the lease tells.
        let container = Owner { pid_space: "77".into(), ..here.clone() };
        let lease = Lease::take(leases.path(), &container.mark()).expect("taken");
        assert_eq!(lives(&container), OwnerState::Running);
        drop(lease);
        assert_eq!(lives(&container), OwnerState::Dead);
    }

    #[test]
    fn another_boot_is_dead_and_another_host_is_not_judged() {
        let leases = tempfile::tempdir().expect("a folder");
        let here = Owner::current();
        let rebooted = Owner { boot: "earlier".into(), ..here.clone() };
        let abroad = Owner { boot: "theirs".into(), host: "theirs".into(), ..here.clone() };
        assert_eq!(rebooted.state(&here, leases.path()), OwnerState::Dead);
        assert_eq!(abroad.state(&here, leases.path()), OwnerState::Elsewhere);
    }
}
