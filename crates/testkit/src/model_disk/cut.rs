//! What a power cut leaves of a model disk.
//!
//! Owns: the choice among the states that `model_disk` allows. Never does: change the disk that is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Chance;
use super::state::{FileNode, Node, SECTOR, State, sector_of};

/// What is kept of what was not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    All,
    Some,
}

fn kept(chance: &mut Chance) -> Kept {
    match chance.below(4) {
        0 => Kept::Nothing,
        1 => Kept::All,
        _ => Kept::Some,
    }
}

/// A state that a power cut may leave of `state`.
pub fn crash(state: &State, chance: &mut Chance) -> State {
    let overall = match chance.below(6) {
        0 => Kept::Nothing,
        1 => Kept::All,
        _ => Kept::Some,
    };
    let names = names(state, overall, chance);
    let blocks: Vec<Arc<Vec<u8>>> = state
        .nodes
        .values()
        .filter_map(|node| match node {
            Node::File(file) if !file.live.is_empty() => Some(Arc::clone(&file.live)),
            _ => None,
        })
        .collect();
    state.rebuilt(names, |file| content(file, overall, &blocks, chance))
}

/// What the names of every folder mean.
fn names(
    state: &State,
    overall: Kept,
    chance: &mut Chance,
) -> BTreeMap<u64, BTreeMap<String, u64>> {
    let mut names: BTreeMap<u64, BTreeMap<String, u64>> = state
        .nodes
        .iter()
        .filter_map(|(id, node)| match node {
            Node::Folder(folder) => Some((*id, folder.durable.clone())),
            Node::File(_) => None,
        })
        .collect();
    let percent = [15, 50, 85][chance.below(3) as usize];
    let mut done: BTreeSet<u64> = BTreeSet::new();
    // Names of which a change is missing: no later change of the same name can be there.
    let mut held_up: BTreeSet<(u64, &str)> = BTreeSet::new();
    for change in &state.changes {
        let key = (change.folder, change.name.as_str());
        let wanted = match overall {
            Kept::Nothing => false,
            Kept::All => true,
            Kept::Some => chance.percent(percent),
        };
        // What it needs is in this list unless it is durable already.
        let lacks = change.needs.is_some_and(|needed| {
            !done.contains(&needed) && state.changes.iter().any(|other| other.id == needed)
        });
        if !wanted || lacks || held_up.contains(&key) {
            held_up.insert(key);
            continue;
        }
        done.insert(change.id);
        let folder = names.entry(change.folder).or_default();
        match change.means {
            Some(node) => folder.insert(change.name.clone(), node),
            None => folder.remove(&change.name),
        };
    }
    names
}

fn content(
    file: &FileNode,
    overall: Kept,
    blocks: &[Arc<Vec<u8>>],
    chance: &mut Chance,
) -> Arc<Vec<u8>> {
    let is_clean = file.dirty.is_empty() && file.doubtful.is_empty() && file.lens.is_empty();
    let kept = match overall {
        _ if is_clean => Kept::All,
        Kept::Some => kept(chance),
        other => other,
    };
    if kept == Kept::All {
        return Arc::clone(&file.live);
    }
    let len = match kept {
        Kept::Some => length(file, chance),
        _ => file.durable_len,
    };
    let mut bytes = file.live.to_vec();
    // Any sector that was dirty lies before the longest length the file has had.
    let longest = file.lens.iter().fold(bytes.len(), |a, b| a.max(*b));
    bytes.resize(longest.max(len).next_multiple_of(SECTOR), 0);
    let percent = [10, 50, 90][chance.below(3) as usize];
    for (sector, versions) in file.doubtful.iter().chain(&file.dirty) {
        let from = *sector as usize * SECTOR;
        let Some(place) = bytes.get_mut(from..from + SECTOR) else {
            continue;
        };
        let oldest = versions.first().unwrap_or(&[0; SECTOR]);
        if kept == Kept::Nothing {
            place.copy_from_slice(oldest);
        } else if chance.percent(percent) {
            // The live version stays.
        } else if from >= file.durable_len && chance.percent(20) {
            place.fill(0);
        } else if from >= file.durable_len && chance.percent(5) && !blocks.is_empty() {
            let other = &blocks[chance.below(blocks.len() as u64) as usize];
            let sectors = other.len().div_ceil(SECTOR) as u64;
            place.copy_from_slice(&sector_of(other, chance.below(sectors)));
        } else {
            let version = chance.below(versions.len() as u64 * 2) as usize;
            place.copy_from_slice(versions.get(version).unwrap_or(oldest));
        }
    }
    bytes.truncate(len);
    bytes.resize(len, 0);
    Arc::new(bytes)
}

/// A length the file has had since the last sync, or one in the middle of an extension.
fn length(file: &FileNode, chance: &mut Chance) -> usize {
    let mut lens = vec![file.durable_len];
    lens.extend(&file.lens);
    lens.push(file.live.len());
    let at = chance.below(lens.len() as u64) as usize;
    let len = lens[at];
    match lens.get(at + 1) {
        Some(next) if *next > len && chance.percent(30) => {
            let sectors = (next - len).div_ceil(SECTOR) as u64;
            (len + chance.below(sectors + 1) as usize * SECTOR).min(*next)
        }
        _ => len,
    }
}
