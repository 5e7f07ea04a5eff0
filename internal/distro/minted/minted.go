// Package minted is the table of what packages make at random when they are
// installed: keys, certificates and databases that must be each machine's own.
//
// A family takes them out of every built tree, so that two machines never
// share a key and two builds are the same bytes; a target has the machine make
// them anew at its first start, before its init runs. What a package leaves
// empty for the same purpose (/etc/machine-id) is not listed.
package minted

// Kind is one thing that is minted.
type Kind struct {
	// Remove are shell patterns of absolute paths; a folder goes with all that
	// is in it.
	Remove []string
	// Path is a pattern: if something matches in a machine, it has the thing.
	Path string
	// Needs is a file without which the machine has no use for the thing.
	Needs string
	// Command makes it, as root, with nothing else running; it must not fail
	// for a reason that should keep a machine from starting.
	Command []string
}

// Kinds is the whole table.
var Kinds = []Kind{
	{
		Remove:  []string{"/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_*_key.pub"},
		Path:    "/etc/ssh/ssh_host_*_key",
		Needs:   "/usr/sbin/sshd",
		Command: []string{"ssh-keygen", "-A"},
	},
	{ // used by postfix, dovecot and others until somebody gives them a real one
		Remove:  []string{"/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"},
		Path:    "/etc/ssl/private/ssl-cert-snakeoil.key",
		Needs:   "/usr/sbin/make-ssl-cert",
		Command: []string{"make-ssl-cert", "generate-default-snakeoil"},
	},
	{ // by which the name server's control program is known to it
		Remove:  []string{"/etc/bind/rndc.key"},
		Path:    "/etc/bind/rndc.key",
		Needs:   "/usr/sbin/rndc-confgen",
		Command: []string{"sh", "-c", "rndc-confgen -a && chown bind:bind /etc/bind/rndc.key && chmod 640 /etc/bind/rndc.key || :"},
	},
	{ // a hash table with an identity of its own
		Remove:  []string{"/etc/aliases.db"},
		Path:    "/etc/aliases.db",
		Needs:   "/usr/sbin/postalias",
		Command: []string{"sh", "-c", "newaliases || :"},
	},
	{ // the system tables of a database, as its package's postinst makes them
		Remove: []string{"/var/lib/mysql/aria_log*", "/var/lib/mysql/ib*", "/var/lib/mysql/undo*",
			"/var/lib/mysql/mysql", "/var/lib/mysql/performance_schema", "/var/lib/mysql/sys"},
		Path:  "/var/lib/mysql/mysql",
		Needs: "/usr/bin/mariadb-install-db",
		Command: []string{"sh", "-c", "TMPDIR= mariadb-install-db --rpm --cross-bootstrap --user=mysql " +
			"--disable-log-bin --skip-test-db || :"},
	},
	{ // clusters that have their configuration below /etc, which stays
		Remove:  []string{"/var/lib/postgresql/*/main"},
		Path:    "/var/lib/postgresql/*/main/PG_VERSION",
		Needs:   "/usr/bin/pg_createcluster",
		Command: []string{"sh", "-c", postgres},
	},
	{
		Remove: []string{"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed"},
	},
}

// postgres makes the data of each configured cluster that has none, as
// pg_createcluster does; that program itself refuses what is configured.
const postgres = `
for conf in /etc/postgresql/*/main/postgresql.conf; do
	dir=${conf%/main/*}
	version=${dir##*/}
	data=/var/lib/postgresql/$version/main
	if [ -e "$conf" ] && [ ! -e "$data" ]; then
		install -d -m 700 -o postgres -g postgres "$data" &&
		setpriv --reuid=postgres --regid=postgres --init-groups \
			"/usr/lib/postgresql/$version/bin/initdb" -D "$data" --encoding=UTF8 --locale=C.UTF-8 \
			--auth-local=peer --auth-host=scram-sha-256 &&
		rm -f "$data/postgresql.conf" "$data/pg_hba.conf" "$data/pg_ident.conf"
	fi
done
:`
