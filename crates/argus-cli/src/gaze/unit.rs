//! The systemd unit with which gaze runs as a service.
//!
//! It is made for the superuser, who sees every program of the machine, and takes away what is not
//! needed for looking: of the capabilities only those to read other users' processes and files are
//! left. What would keep gaze from looking is named in the unit, so that nobody adds it in good
//! faith.

use std::path::Path;

/// The unit that runs `program` with this configuration file.
pub(crate) fn unit(program: &Path, config: &Path) -> String {
    let program = quoted(program);
    let config = quoted(config);
    format!(
        "\
# Put this into /etc/systemd/system/argus-gaze.service, then:
#   systemctl daemon-reload && systemctl enable --now argus-gaze
# What it records: argus watch --db /var/lib/argus/argus_runtime.db

[Unit]
Description=Argus gaze, watches programs from outside
Documentation=man:argus-gaze(1)

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} gaze --config {config}
ExecReload=kill -HUP $MAINPID
Restart=always
RestartSec=1
# SIGTERM goes to gaze only: the collector beside it is still needed for the last rows.
KillMode=mixed
StateDirectory=argus
StateDirectoryMode=0700
Environment=ARGUS_HOME=%S/argus

# To look at other users' programs, and to follow their logs. Plugins and alert commands get the
# same, and no more.
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
# Not ProtectProc, ProcSubset, PrivateUsers, PrivatePIDs or PrivateNetwork: they hide what is to be
# seen. Not PrivateTmp: logs may lie in /tmp.
ProtectSystem=full
ProtectHome=read-only
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"
    )
}

/// A path as one word of a command in a unit, where `%` and `$` mean something, too.
fn quoted(path: &Path) -> String {
    let mut word = String::from("\"");
    for next in path.to_string_lossy().chars() {
        match next {
            '"' | '\\' => word.extend(['\\', next]),
            '%' | '$' => word.extend([next, next]),
            '\n' => word.push_str("\\n"),
            _ => word.push(next),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_path_stays_one_word() {
        let check = |path: &str, word: &str| assert_eq!(quoted(Path::new(path)), word);
        check("/etc/argus/gaze.toml", "\"/etc/argus/gaze.toml\"");
        check("/a b/100%/$x\"\\", r#""/a b/100%%/$$x\"\\""#);
    }

    #[test]
    fn systemd_finds_nothing_wrong_with_it() {
        let program = std::env::current_exe().unwrap();
        let text = unit(&program, Path::new("/etc/argus/100% \"sure\".toml"));
        let start = text.lines().find(|line| line.starts_with("ExecStart="));
        assert!(
            start
                .unwrap()
                .ends_with(r#"gaze --config "/etc/argus/100%% \"sure\".toml""#)
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("argus-gaze.service");
        std::fs::write(&file, text).unwrap();
        let checked = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&file)
            .output();
        let checked = match checked {
            Ok(checked) => checked,
            // A machine without systemd: what the unit says is then checked elsewhere only.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("not checked: systemd-analyze is not installed");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let complaints = String::from_utf8_lossy(&checked.stderr);
        // It reads other units of the machine as well, which may have faults of their own.
        let ours: Vec<_> = complaints
            .lines()
            .filter(|line| line.contains("argus-gaze"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert!(checked.status.success(), "{complaints}");
    }
}
