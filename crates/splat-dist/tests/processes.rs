//! Groups of real processes on the CPU: what they exchange, and how they end when one of them is lost.
//!
//! Each process is this program again, told by `ROLE` to play one part of a test.
#![expect(clippy::print_stdout, reason = "a process of a group says how it ended")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use splat_dist::{Error, Group, Rendezvous, Result};
use tch::{Device, Kind, Tensor};

/// Long enough for a process to begin on a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_secs(8);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(role: &str, ranks: &[usize], world: usize, port: u16) -> Vec<Child> {
    let one = |rank: &usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["plays_its_role", "--exact", "--nocapture"])
            .env("ROLE", role)
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", world.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env_remove("TORCHELASTIC_USE_AGENT_STORE")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    ranks.iter().map(one).collect()
}

/// What each process said on the lines that begin with `> `, and whether it ended well.
fn ends(children: Vec<Child>) -> Vec<(bool, String)> {
    let one = |child: Child| {
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let said: Vec<&str> = text.lines().filter_map(|line| line.split_once("> ")).map(|(_, s)| s).collect();
        let said =
            if said.is_empty() { String::from_utf8_lossy(&out.stderr).into_owned() } else { said.join("\n") };
        (out.status.success(), said)
    };
    children.into_iter().map(one).collect()
}

fn play(role: &str, world: usize) -> Vec<(bool, String)> {
    ends(start(role, &(0..world).collect::<Vec<_>>(), world, free_port()))
}

/// Not a test: what a process of a group does.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var("ROLE") else { return };
    let rendezvous = Rendezvous::from_env().unwrap().unwrap();
    match Group::join(&rendezvous, Device::Cpu, TIMEOUT).and_then(|group| part(&role, &group)) {
        Ok(()) => println!("\n> fine"),
        Err(error) => println!("\n> {error}"),
    }
}

fn part(role: &str, group: &Group) -> Result<()> {
    let (rank, world) = (group.rank() as i64, group.world() as i64);
    let floats = (Kind::Float, Device::Cpu);
    group.barrier()?;
    match (role, rank) {
        ("exchange", _) => {
            group.agree("song", "the same")?;
            // More than the store takes at a time.
            let mut large = Tensor::full([3_000_000], 1.0, floats);
            group.all_reduce(&mut large)?;
            assert_eq!(large.min().double_value(&[]), world as f64);
            let mut sum = Tensor::from_slice(&[1.0f32, rank as f32]);
            group.all_reduce(&mut sum)?;
            assert_eq!(Vec::<f32>::try_from(&sum).unwrap(), [world as f32, (world * (world - 1) / 2) as f32]);
            // Rank r sends r rows to everybody and one more to rank 0; rank 0 sends none to the others.
            let counts: Vec<i64> = (0..world).map(|to| rank + i64::from(to == 0)).collect();
            let sent = Tensor::full([counts.iter().sum(), 2], rank as f64, floats);
            let (send, receive) = group.counts(&Tensor::from_slice(&counts))?;
            assert_eq!(send, counts);
            assert_eq!(receive, (0..world).map(|from| from + i64::from(rank == 0)).collect::<Vec<_>>());
            let got = group.all_to_all(&sent, &send, &receive)?;
            let expected: Vec<f32> =
                (0..world).flat_map(|from| vec![from as f32; 2 * receive[from as usize] as usize]).collect();
            assert_eq!(Vec::<f32>::try_from(&got.view(-1)).unwrap(), expected);
            let all = group.all_rows(&Tensor::full([rank], rank, (Kind::Int64, Device::Cpu)))?;
            assert_eq!(
                Vec::<i64>::try_from(&all).unwrap(),
                (0..world).flat_map(|r| vec![r; r as usize]).collect::<Vec<_>>()
            );
            assert_eq!(group.all_gather(10 * rank)?, (0..world).map(|r| 10 * r).collect::<Vec<_>>());
            assert!(group.times().exchanges >= 6 && group.times().bytes > 0);
        }
        ("differs", 2) => group.agree("song", "another")?,
        ("differs", _) => group.agree("song", "one")?,
        ("killed", 1) => {
            println!("\n> met");
            loop {
                std::thread::sleep(TIMEOUT);
            }
        }
        ("hangs", 1) => {
            group.when_stuck(|error| {
                println!("\n> stuck: {error}");
                std::process::exit(0)
            });
            loop {
                std::thread::sleep(TIMEOUT);
            }
        }
        // Longer than the timeout, which the others wait.
        ("busy", 1) => {
            group.busy(|| std::thread::sleep(TIMEOUT * 2));
            group.barrier()?;
        }
        ("fails", 1) => return group.leave(Some("no memory left\non the device")),
        _ => group.barrier()?,
    }
    group.leave(None)
}

#[test]
fn tensors_come_where_they_were_sent() {
    for world in [2, 3] {
        assert_eq!(play("exchange", world), vec![(true, "fine".to_owned()); world]);
    }
}

#[test]
fn what_differs_is_refused_and_both_values_are_named() {
    for (_, said) in play("differs", 3) {
        assert!(said.contains("the song of rank 2 on ") && said.contains("`another`"), "{said}");
        assert!(said.contains("that of rank 0 is `one`"), "{said}");
    }
}

/// The others end within the limit and name it.
#[test]
fn a_killed_rank_ends_the_group() {
    let mut children = start("killed", &[0, 1, 2], 3, free_port());
    let mut lines = BufReader::new(children[1].stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("> met")), "rank 1 did not come");
    children[1].kill().unwrap();
    let said = ends(children);
    for rank in [0, 2] {
        assert!(said[rank].1.contains("rank 1 on ") && said[rank].1.contains("no sign of life"), "{said:?}");
    }
}

#[test]
fn a_rank_that_hangs_ends_too() {
    let said = play("hangs", 3);
    for (_, text) in &said {
        assert!(text.contains("rank 1 on ") && text.contains("it hangs"), "{said:?}");
    }
    assert!(said[1].1.starts_with("stuck: "), "{said:?}");
}

#[test]
fn a_busy_rank_is_waited_for() {
    assert_eq!(play("busy", 2), vec![(true, "fine".to_owned()); 2]);
}

#[test]
fn a_rank_that_fails_tells_the_others_why() {
    let said = play("fails", 3);
    for rank in [0, 2] {
        let text = &said[rank].1;
        assert!(text.contains("rank 1 on ") && text.contains("no memory left on the device"), "{said:?}");
    }
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let said = ends(start("exchange", &[0, 2], 4, free_port()));
    for (_, text) in &said {
        assert!(text.contains("waited 8 s for 4 ranks") && text.contains("rank 1, rank 3"), "{said:?}");
    }
}

#[test]
fn a_port_in_use_and_a_wrong_address_are_told_apart() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Group::join(&Rendezvous::local(0, 2, port), Device::Cpu, TIMEOUT).unwrap_err();
    assert_eq!(error, Error::PortInUse { address: "127.0.0.1".into(), port });
    let error = Group::join(&Rendezvous::local(1, 2, free_port()), Device::Cpu, TIMEOUT).unwrap_err();
    assert!(matches!(error, Error::Unreachable { rank: 1, .. }), "{error}");
}
