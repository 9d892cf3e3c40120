package pgserver

// common settings: a socket in the server's folder, no port, and connections for many replicas at once.
var common = []string{"listen_addresses=", "port=5432", "max_connections=200"}

// quick settings never sync. Commits are still written before they are acknowledged, so that a crash of Postgres,
// which tests bring about, loses none.
var quick = []string{"fsync=off", "full_page_writes=off", "shared_buffers=64MB"}

// durable settings are what an operator of a small machine would set; everything else is as Postgres comes.
var durable = []string{
	"fsync=on", "synchronous_commit=on", "shared_buffers=1GB", "effective_cache_size=3GB",
	"max_wal_size=8GB", "checkpoint_timeout=15min", "wal_compression=on", "maintenance_work_mem=256MB",
}

// arguments are the command line of the server.
func (s *Server) arguments() []string {
	args := []string{"-D", s.data(), "-k", s.dir}
	mode := quick
	if s.options.Durable {
		mode = durable
	}
	for _, settings := range [][]string{common, mode, s.options.Settings} {
		for _, setting := range settings {
			args = append(args, "-c", setting)
		}
	}
	return args
}
