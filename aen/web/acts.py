"""Acts of the activity log in words: the end of a sentence that begins with who did it. `{who}` is the person acted upon."""

from __future__ import annotations

from aen.languages import N_

ACTS: dict[str, str] = {
    "acting.began": N_("began to act as {who}, for support:"),
    "acting.ended": N_("acts as {who} no more:"),
    "datacenter.added": N_("added the data center"),
    "datacenter.removed": N_("removed the data center"),
    "environment.activated": N_("chose the active environment:"),
    "environment.clone": N_("began to copy an environment to"),
    "environment.create": N_("began to make the environment"),
    "environment.install": N_("began to install packages in"),
    "environment.remove": N_("began to remove the environment"),
    "environment.roll-back": N_("began to take an environment back:"),
    "environment.standard": N_("began to make the environment"),
    "environment.stopped": N_("stopped the change of the environment"),
    "environment.uninstall": N_("began to remove packages from"),
    "revisions.begin": N_("made a git repository"),
    "revisions.clone": N_("began to clone"),
    "revisions.commit": N_("committed:"),
    "revisions.fetch": N_("fetched from the remote"),
    "revisions.key": N_("made a key for git"),
    "revisions.pull": N_("pulled from the remote"),
    "revisions.push": N_("pushed to the remote"),
    "revisions.remote": N_("chose the remote"),
    "revisions.restore": N_("took files back to revision"),
    "publication.changed": N_("changed the publication"),
    "publication.made": N_("published"),
    "publication.renewed": N_("published a new version of"),
    "publication.withdrawn": N_("withdrew the publication"),
    "dashboard.changed": N_("changed the dashboard"),
    "dashboard.deployed": N_("deployed the dashboard"),
    "dashboard.taken_down": N_("took down the dashboard"),
    "schedule.created": N_("scheduled"),
    "schedule.paused": N_("paused the schedule"),
    "schedule.removed": N_("removed the schedule"),
    "schedule.resumed": N_("let the schedule go on"),
    "schedule.run": N_("ran the scheduled notebook"),
    "invitation.withdrawn": N_("withdrew an invitation"),
    "login.code_failed": N_("gave a wrong code"),
    "login.ended": N_("signed out"),
    "login.ended_everywhere": N_("ended all logins"),
    "login.failed": N_("failed to sign in"),
    "login.held_up": N_("had to wait after too many failed attempts"),
    "login.refused": N_("was refused:"),
    "login.succeeded": N_("signed in"),
    "log.pruned": N_("took old records out of the log:"),
    "mail.tested": N_("tried whether mail arrives at"),
    "node.back": N_("let projects start again on the node"),
    "node.draining": N_("began to empty the node"),
    "node.invitation_withdrawn": N_("withdrew the invitation of the node"),
    "node.invited": N_("invited the node"),
    "node.join_refused": N_("refused to let in the node"),
    "node.joined": N_("let in the node"),
    "node.removed": N_("removed the node"),
    "password.changed": N_("changed the password of {who}"),
    "password.link_made": N_("made a link for {who} to choose a new password"),
    "password.link_refused": N_("was refused a link to a new password for {who}"),
    "password.link_sent": N_("sent {who} a link to choose a new password"),
    "password.link_gone": N_("came with a link to a new password that counts no more"),
    "password.wrong": N_("gave a wrong password for something that needs it"),
    "password.reset": N_("chose a new password by a link"),
    "second_factor.recovery_made": N_("made new recovery codes"),
    "second_factor.recovery_used": N_("signed in by a recovery code"),
    "second_factor.removed": N_("took away the second factor of {who}"),
    "second_factor.set": N_("set up a second factor"),
    "user.linked": N_("linked {who} to another way of signing in:"),
    "key.added": N_("added an SSH key of {who}"),
    "key.removed": N_("removed an SSH key of {who}"),
    "project.copied": N_("copied the project"),
    "project.exported": N_("exported the project"),
    "project.imported": N_("made the project of an archive"),
    "project.created": N_("created the project"),
    "project.deleted": N_("deleted the project"),
    "project.discarded": N_("deleted the project; it can be had back for some days"),
    "project.restored": N_("had the deleted project back"),
    "project.renamed": N_("renamed the project"),
    "project.reset": N_("reset the project"),
    "project.started": N_("started the project"),
    "project.stopped": N_("stopped the project"),
    "project.transferred": N_("passed the project on"),
    "project.space": N_("said how much space the project may take:"),
    "project.rights": N_("set the permissions of a file in"),
    "project.repaired": N_("repaired the permissions"),
    "project.updated": N_("changed the settings"),
    "registration.closed": N_("closed registration"),
    "registration.opened": N_("opened registration to everybody"),
    "security.exported": N_("exported the security log"),
    "setting.changed": N_("changed the setting"),
    "setting.taken_back": N_("took back the setting"),
    "session.kept": N_("asked to keep a session for"),
    "set_up.refused": N_("gave a wrong set-up code"),
    "sign_up.refused": N_("tried to sign up without a good invitation"),
    "share.created": N_("shared by a link from"),
    "share.revoked": N_("ended a link to"),
    "session.opened": N_("opened"),
    "session.stopped": N_("stopped a session"),
    "team.joined": N_("joined the team by a link, as"),
    "team.link_made": N_("made a link that invites into the team, as"),
    "team.link_withdrawn": N_("withdrew a link that invited into the team"),
    "team.added": N_("added {who} to the team as"),
    "team.removed": N_("took {who} off the team"),
    "team.role": N_("gave {who} a role in the team:"),
    "token.refused": N_("sent an API token that is not valid"),
    "token.created": N_("made an API token for {who}"),
    "token.withdrawn": N_("withdrew an API token"),
    "user.allowed": N_("said how much {who} may take:"),
    "user.changed": N_("changed the profile of {who}"),
    "user.created": N_("made the account of {who}"),
    "user.invited": N_("invited somebody"),
    "user.locked": N_("locked the account of {who}"),
    "user.made_admin": N_("made {who} an administrator"),
    "user.made_staff": N_("made {who} one of the staff"),
    "user.no_longer_staff": N_("took {who} off the staff"),
    "user.no_longer_admin": N_("took administrator rights from {who}"),
    "user.removed": N_("removed the account of {who}"),
    "user.retired": N_("took {who} out of files and nodes"),
    "user.set_up": N_("set up AEN"),
    "user.signed_up": N_("signed up"),
    "user.unlocked": N_("unlocked the account of {who}"),
}

#: The same by themselves, where the end of the sentence (a role) makes no sense without the rest.
ALONE: dict[str, str] = {
    "team.added": N_("Added … to the team"),
    "team.joined": N_("Joined the team by a link"),
    "team.link_made": N_("Made a link that invites into the team"),
}

#: The same where somebody did it to their own account, as far as it reads otherwise.
OWN: dict[str, str] = {
    "token.created": N_("made an API token"),
    "key.added": N_("added an SSH key"),
    "key.removed": N_("removed an SSH key"),
    "password.changed": N_("changed the password"),
    "team.removed": N_("left the team"),
    "user.changed": N_("changed the profile"),
    "user.created": N_("made the account"),
    "user.removed": N_("removed the account"),
}

#: Acts whose detail is AEN's own words, and no name or text of somebody's.
DETAILED: frozenset[str] = frozenset(
    ("login.ended_everywhere", "login.refused", "project.copied", "project.renamed", "project.space", "user.allowed")
)

#: Acts that stand in the security log: what one can filter it by.
SECURITY: frozenset[str] = frozenset(
    """
    acting.began acting.ended dashboard.changed dashboard.deployed dashboard.taken_down datacenter.added
    datacenter.removed invitation.withdrawn key.added key.removed log.pruned login.code_failed login.ended
    login.ended_everywhere login.failed login.held_up login.refused login.succeeded mail.tested node.back
    node.draining node.invitation_withdrawn node.invited node.join_refused node.joined node.removed
    password.changed password.link_gone password.link_made password.link_refused password.link_sent password.reset
    password.wrong project.deleted project.discarded project.exported project.imported project.restored
    project.transferred publication.changed publication.made publication.renewed publication.withdrawn
    schedule.created schedule.paused schedule.removed schedule.resumed schedule.run second_factor.recovery_made
    second_factor.recovery_used second_factor.removed second_factor.set security.exported set_up.refused
    setting.changed setting.taken_back share.created share.revoked sign_up.refused team.added team.joined
    team.link_made team.link_withdrawn team.removed team.role token.created token.refused token.withdrawn
    user.allowed user.created user.invited user.linked user.locked user.made_admin user.made_staff
    user.no_longer_admin user.no_longer_staff user.removed user.retired user.set_up user.signed_up user.unlocked
    """.split()
)
