#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# git: a repository in the tree, branches, merges, clones in both directions, packing.
. "$(dirname "$0")/prog.sh"

export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org GIT_PAGER=cat
export GIT_AUTHOR_DATE="2020-01-01T00:00:00Z" GIT_COMMITTER_DATE="2020-01-01T00:00:00Z"
git config --global init.defaultBranch main
git config --global protocol.file.allow always
git config --global advice.detachedHead false

git init -q repo
cd repo
mkdir -p dir/sub
for i in $(seq 1 60); do
	seq $i $((i * 10)) >dir/sub/f$i
done
echo text >README
chmod +x README
ln -s README link
git add .
git status --short | wc -l
git commit -q -m "first"
git log --format='%H %s'
echo more >>README
mv dir/sub/f1 dir/moved
rm dir/sub/f2
git diff --stat | tail -n 1
git add -A
git status --short
git commit -q -m "second"
git checkout -q -b side HEAD~1
echo side >side
git add side
git commit -q -m "on the side"
git checkout -q main
git merge -q -m "merge" side
git log --oneline --graph | cat
git tag v1
git stash list
echo dirty >>README
git stash -q
git status --short
git stash pop -q
git diff | tail -n 1
git checkout -q README
git grep -c 100 | wc -l
git blame README | awk '{ print $NF }'
git ls-files -s | md5sum
git gc -q
git fsck 2>&1
git count-objects -v | grep -E '^(count|in-pack|packs)'
git archive HEAD | tar tf - | wc -l
git bundle create -q ../all.bundle --all && git bundle verify -q ../all.bundle
cd ..

git clone -q repo clone
git clone -q --no-local repo "$VT_LOCAL/clone"
git clone -q "$VT_LOCAL/clone" back
git clone -q all.bundle bundled -b main
git clone -q --bare repo bare.git
for r in clone "$VT_LOCAL/clone" back bundled bare.git; do
	git -C "$r" rev-parse HEAD
done
cd clone
echo pushed >pushed
git add pushed
git commit -q -m "pushed"
git push -q ../bare.git main 2>&1
git -C ../bare.git log --format=%s -1
cd ../back
git remote set-url origin "$VT_DIR/bare.git"
git pull -q --ff-only
git log --format='%H %s' -1
git reset -q --hard HEAD~1
git log --format=%s -1
git worktree add -q ../work side
cat ../work/side
git worktree list | wc -l
cd ..
rm -rf repo clone back
git -C none status 2>&1 || true
