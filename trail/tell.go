package trail

// What the log is told, and how often: see occasional.

func (t *Trail) tellRefused(rows int, err error) {
	t.log.Error("request logs not taken onto the trail", "rows", rows, "error", err)
}

func (t *Trail) tellDelayed(attempts int, err error) {
	t.log.Warn("request logs wait on the trail; trying again", "failures", attempts, "bytes", t.journal.Waiting(), "error", err)
}

func (t *Trail) tellBuried(rows int, err error) {
	t.log.Error("request logs refused for good are set aside", "rows", rows, "file", t.dead.path(), "last", err)
}

func (t *Trail) tellStray(records int, err error) {
	t.log.Error("records of the trail are no request logs and are passed over", "records", records, "error", err)
}

// tellRest tells of what the log was spared: now, where the last time is long enough ago, or at the end. At the end nobody
// wants to know of delays that are over.
func (t *Trail) tellRest(end bool) {
	for _, o := range []*occasional{&t.refusals, &t.delays, &t.burials, &t.strays} {
		switch {
		case end && o == &t.delays && t.journal.Waiting() == 0:
		case end:
			o.last()
		default:
			o.rest()
		}
	}
}
