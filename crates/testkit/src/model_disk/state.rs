//! What is on the model disk: for every file and folder what is there, and what of it is not durable yet.
//!
//! Owns: the bookkeeping of versions and of changed names. Never does: draw a chance; `model_cut` does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use booth_spool::disk::Listed;

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;
/// What the page cache keeps clean or dirty as one, and what is allocated as one.
const PAGE: u64 = 4096;
const SECTORS_OF_PAGE: u64 = PAGE / SECTOR as u64;
const ROOT: u64 = 1;
/// As good as endless.
const ENDLESS: u64 = 1 << 50;

pub type Sector = [u8; SECTOR];

#[derive(Clone)]
pub enum Node {
    File(FileNode),
    Folder(FolderNode),
}

#[derive(Clone, Default)]
pub struct FileNode {
    /// What a reader sees.
    pub live: Arc<Vec<u8>>,
    /// The length that is durable.
    pub durable_len: usize,
    /// Lengths it has had since the last sync, the last one left out.
    pub lens: Vec<usize>,
    /// By sector: what was in it since the last sync, oldest (the durable one) first, the live one left out.
    pub dirty: BTreeMap<u64, Vec<Sector>>,
    /// The same for sectors that a failed sync left clean in memory.
    pub doubtful: BTreeMap<u64, Vec<Sector>>,
    links: u32,
}

#[derive(Clone, Default)]
pub struct FolderNode {
    pub live: BTreeMap<String, u64>,
    pub durable: BTreeMap<String, u64>,
}

/// A name that was changed and not synced. A rename is two of them.
#[derive(Clone)]
pub struct NameChange {
    pub id: u64,
    pub folder: u64,
    pub name: String,
    /// What the name means now; `None`: nothing.
    pub means: Option<u64>,
    /// The change that must be there if this one is: the new name of a renamed file.
    pub needs: Option<u64>,
}

#[derive(Clone)]
pub struct State {
    pub nodes: BTreeMap<u64, Node>,
    pub changes: Vec<NameChange>,
    next_id: u64,
    pub capacity: u64,
    pub others: u64,
    used: u64,
}

impl Default for State {
    fn default() -> Self {
        State {
            nodes: BTreeMap::from([(ROOT, Node::Folder(FolderNode::default()))]),
            changes: Vec::new(),
            next_id: ROOT + 1,
            capacity: ENDLESS,
            others: 0,
            used: 0,
        }
    }
}

fn pages(len: usize) -> u64 {
    (len as u64).div_ceil(PAGE) * PAGE
}

/// The sector of `content` that begins at `sector * SECTOR`, zeros behind its end.
pub fn sector_of(content: &[u8], sector: u64) -> Sector {
    let mut bytes = [0; SECTOR];
    let from = (sector as usize * SECTOR).min(content.len());
    let to = (from + SECTOR).min(content.len());
    bytes[..to - from].copy_from_slice(&content[from..to]);
    bytes
}

fn names_of(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

impl FileNode {
    /// Remembers what is in the sectors from `from` to before `to` before they change; their pages become dirty.
    fn remember(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let (first, last) = ((from / SECTOR) as u64, ((to - 1) / SECTOR) as u64);
        for sector in first..=last {
            let before = sector_of(&self.live, sector);
            self.dirty.entry(sector).or_default().push(before);
        }
        let page_from = first - first % SECTORS_OF_PAGE;
        let page_to = last - last % SECTORS_OF_PAGE + SECTORS_OF_PAGE;
        for sector in page_from..page_to {
            if let Some(mut versions) = self.doubtful.remove(&sector) {
                versions.extend(self.dirty.remove(&sector).unwrap_or_default());
                self.dirty.insert(sector, versions);
            }
        }
    }

    fn sync(&mut self) {
        self.dirty.clear();
        self.lens.clear();
        self.durable_len = self.live.len();
        let end = self.live.len().div_ceil(SECTOR) as u64;
        self.doubtful.retain(|sector, _| *sector < end);
    }

    fn doubt(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            self.doubtful.entry(sector).or_default().extend(versions);
        }
    }

    /// A file whose content is durable.
    pub fn durable(content: Arc<Vec<u8>>) -> FileNode {
        FileNode {
            durable_len: content.len(),
            live: content,
            ..FileNode::default()
        }
    }
}

impl State {
    /// A state whose every part is durable, of files by what `content` makes of them and names by `names`.
    pub fn rebuilt(
        &self,
        mut names: BTreeMap<u64, BTreeMap<String, u64>>,
        mut content: impl FnMut(&FileNode) -> Arc<Vec<u8>>,
    ) -> State {
        let mut state = State {
            capacity: self.capacity,
            others: self.others,
            next_id: self.next_id,
            ..State::default()
        };
        let mut waiting = vec![ROOT];
        while let Some(id) = waiting.pop() {
            match self.nodes.get(&id) {
                Some(Node::Folder(_)) => {
                    let live = names.remove(&id).unwrap_or_default();
                    waiting.extend(live.values());
                    let durable = live.clone();
                    state
                        .nodes
                        .insert(id, Node::Folder(FolderNode { live, durable }));
                }
                Some(Node::File(file)) => match state.nodes.get_mut(&id) {
                    Some(Node::File(file)) => file.links += 1,
                    _ => {
                        let mut file = FileNode::durable(content(file));
                        file.links = 1;
                        state.used += pages(file.live.len());
                        state.nodes.insert(id, Node::File(file));
                    }
                },
                None => {}
            }
        }
        state
    }

    pub fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.others + self.used)
    }

    pub fn node(&self, id: u64) -> io::Result<&Node> {
        self.nodes
            .get(&id)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn file(&self, id: u64) -> io::Result<&FileNode> {
        match self.node(id)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn file_mut(&mut self, id: u64) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, id: u64) -> io::Result<&FolderNode> {
        match self.node(id)? {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn folder_mut(&mut self, id: u64) -> io::Result<&mut FolderNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub fn find(&self, path: &Path) -> io::Result<u64> {
        names_of(path).iter().try_fold(ROOT, |folder, name| {
            let found = self.folder(folder)?.live.get(name).copied();
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    /// The folder a path is in, and its last name.
    fn place(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.folder(folder)?;
        Ok((folder, name.to_string_lossy().into_owned()))
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Changes what a name means. The file it meant before loses a link, and its space with the last one.
    fn change_name(
        &mut self,
        folder: u64,
        name: &str,
        means: Option<u64>,
        needs: Option<u64>,
    ) -> io::Result<u64> {
        let live = &mut self.folder_mut(folder)?.live;
        let before = match means {
            Some(node) => live.insert(name.to_owned(), node),
            None => live.remove(name),
        };
        if let Some(Node::File(file)) = means.and_then(|node| self.nodes.get_mut(&node)) {
            file.links += 1;
        }
        let mut freed = 0;
        if let Some(Node::File(file)) = before.and_then(|node| self.nodes.get_mut(&node)) {
            file.links -= 1;
            if file.links == 0 {
                freed = pages(file.live.len());
            }
        }
        self.used = self.used.saturating_sub(freed);
        let id = self.id();
        self.changes.push(NameChange {
            id,
            folder,
            name: name.to_owned(),
            means,
            needs,
        });
        Ok(id)
    }

    pub fn create(&mut self, path: &Path) -> io::Result<u64> {
        let (folder, name) = self.place(path)?;
        let file = self.id();
        self.nodes.insert(file, Node::File(FileNode::default()));
        self.change_name(folder, &name, Some(file), None)?;
        Ok(file)
    }

    pub fn make_folders(&mut self, path: &Path) -> io::Result<()> {
        let mut folder = ROOT;
        for name in names_of(path) {
            folder = match self.folder(folder)?.live.get(&name) {
                Some(found) => *found,
                None => {
                    let made = self.id();
                    self.nodes.insert(made, Node::Folder(FolderNode::default()));
                    self.change_name(folder, &name, Some(made), None)?;
                    made
                }
            };
        }
        self.folder(folder).map(|_| ())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (from_folder, from_name) = self.place(from)?;
        let (to_folder, to_name) = self.place(to)?;
        if let Some(other) = self.folder(to_folder)?.live.get(&to_name) {
            if *other == node {
                return Ok(());
            }
            if matches!(self.node(*other)?, Node::Folder(_)) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
        }
        let came = self.change_name(to_folder, &to_name, Some(node), None)?;
        self.change_name(from_folder, &from_name, None, Some(came))
            .map(|_| ())
    }

    pub fn unlink(&mut self, path: &Path) -> io::Result<()> {
        self.file(self.find(path)?)?;
        let (folder, name) = self.place(path)?;
        self.change_name(folder, &name, None, None).map(|_| ())
    }

    pub fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let mut waiting = vec![self.find(path)?];
        while let Some(id) = waiting.pop() {
            if let Node::Folder(inner) = self.node(id)? {
                for (name, node) in inner.live.clone() {
                    waiting.push(node);
                    self.change_name(id, &name, None, None)?;
                }
            }
        }
        self.change_name(folder, &name, None, None).map(|_| ())
    }

    pub fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let folder = self.folder(self.find(path)?)?;
        let listed = folder.live.iter().map(|(name, node)| {
            let (bytes, is_folder) = match self.node(*node)? {
                Node::File(file) => (file.live.len() as u64, false),
                Node::Folder(_) => (4096, true),
            };
            Ok(Listed {
                name: name.clone(),
                bytes,
                is_folder,
            })
        });
        listed.collect()
    }

    /// How many of the bytes were written: fewer than asked for if the disk is full.
    pub fn write(&mut self, id: u64, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let free = self.free();
        let file = self.file_mut(id)?;
        let old = file.live.len();
        let is_linked = file.links > 0;
        let room = pages(old).saturating_add(if is_linked { free } else { 0 });
        let fits = usize::try_from(room).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(fits.saturating_sub(from))];
        let to = from + bytes.len();
        if bytes.is_empty() {
            return Ok(0);
        }
        file.remember(from.min(old), to);
        if to > old {
            file.lens.push(old);
        }
        let live = Arc::make_mut(&mut file.live);
        if to > old {
            live.resize(to, 0);
        }
        live[from..to].copy_from_slice(bytes);
        let grown = pages(file.live.len()) - pages(old);
        self.used += if is_linked { grown } else { 0 };
        Ok(bytes.len())
    }

    pub fn resize(&mut self, id: u64, bytes: u64) -> io::Result<()> {
        let new = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = self.file_mut(id)?;
        let old = file.live.len();
        if new == old {
            return Ok(());
        }
        file.remember(new.min(old), new.max(old));
        file.lens.push(old);
        Arc::make_mut(&mut file.live).resize(new, 0);
        if file.links > 0 {
            self.used = (self.used + pages(new)).saturating_sub(pages(old));
        }
        Ok(())
    }

    pub fn sync(&mut self, id: u64) -> io::Result<()> {
        self.file_mut(id).map(FileNode::sync)
    }

    /// A sync of the file failed.
    pub fn doubt(&mut self, id: u64) {
        if let Ok(file) = self.file_mut(id) {
            file.doubt();
        }
    }

    /// Makes the names in one folder durable, and of other folders what a removed name needs.
    pub fn sync_names(&mut self, folder: u64) -> io::Result<()> {
        self.folder(folder)?;
        let mut chosen: BTreeSet<u64> = BTreeSet::new();
        let mut names: BTreeSet<(u64, &str)> = BTreeSet::new();
        // Backwards: what a change needs, and what came before it under its name, is earlier in the list.
        for change in self.changes.iter().rev() {
            let name = (change.folder, change.name.as_str());
            if change.folder == folder || chosen.contains(&change.id) || names.contains(&name) {
                chosen.extend([change.id].into_iter().chain(change.needs));
                names.insert(name);
            }
        }
        self.settle_names(|change| chosen.contains(&change.id));
        Ok(())
    }

    fn settle_names(&mut self, is_chosen: impl Fn(&NameChange) -> bool) {
        for change in std::mem::take(&mut self.changes) {
            if !is_chosen(&change) {
                self.changes.push(change);
            } else if let Some(Node::Folder(folder)) = self.nodes.get_mut(&change.folder) {
                match change.means {
                    Some(node) => folder.durable.insert(change.name, node),
                    None => folder.durable.remove(&change.name),
                };
            }
        }
    }

    pub fn sync_everything(&mut self) {
        self.settle_names(|_| true);
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.sync();
            }
        }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, id)) = waiting.pop() {
            match self.nodes.get(&id) {
                Some(Node::File(_)) => found.push(path),
                Some(Node::Folder(folder)) => {
                    let inner = folder.live.iter();
                    waiting.extend(inner.map(|(name, node)| (path.join(name), *node)));
                }
                None => {}
            }
        }
        found.sort();
        found
    }

    pub fn put(&mut self, path: &Path, bytes: &[u8]) {
        self.take_away(path);
        let made = self.create(path).and_then(|file| {
            self.write(file, bytes, 0)?;
            self.sync(file)
        });
        made.expect("the folder is there");
        self.settle_names(|_| true);
    }

    pub fn take_away(&mut self, path: &Path) -> bool {
        let is_gone = self.remove_tree(path).is_ok();
        self.settle_names(|_| true);
        is_gone
    }
}
