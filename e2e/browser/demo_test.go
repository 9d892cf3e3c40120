package browser

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// The demo's keys, from the oldest to the newest.
const (
	oldStaging = iota
	voicePilot
	contractor
	globex
	nightly
	mobile
	production
	noKey = -1
)

// demoKeys are the keys of a workspace that looks like one of a real product.
var demoKeys = []struct {
	name, agentType, agentID, path string
	draft                          object
}{
	oldStaging: {"Old staging key", "agent", "support-bot", "/v1/agents/support-bot/messages",
		object{"scopes": []string{"agent", "voice_agent"}, "externalId": "internal"}},
	voicePilot: {"Voice pilot", "voice_agent", "front-desk", "/v1/voice_agents/front-desk/calls",
		object{"scopes": []string{"voice_agent"}, "externalId": "cust_4402"}},
	contractor: {"Contractor (paused)", "agent", "billing-support", "/v1/agents/billing-support/messages",
		object{"allAgents": false, "agentIds": []string{"billing-support", "onboarding"}, "externalId": "cust_1007"}},
	globex: {"Partner: Globex", "agent", "support-bot", "/v1/agents/support-bot/sessions",
		object{"allAgents": false, "agentIds": []string{"support-bot"}, "externalId": "cust_3310"}},
	nightly: {"Nightly export", "data_agent", "support-tickets", "/v1/data_agents/support-tickets/query",
		object{"scopes": []string{"data_agent"}, "externalId": "internal"}},
	mobile: {"Mobile app", "agent", "support-bot", "/v1/agents/support-bot/messages",
		object{"externalId": "cust_2041"}},
	production: {"Production Key", "agent", "support-bot", "/v1/agents/support-bot/messages",
		object{"scopes": []string{"agent", "data_agent"}, "externalId": "cust_1007"}},
}

// demo fills an account with keys and 30 days of calls before now. It is the same each time, besides ids and times.
func (a account) demo(now time.Time) (keys []key) {
	a.t.Helper()
	for which, k := range demoKeys {
		draft := maps.Clone(k.draft)
		switch which {
		case oldStaging:
			draft["expireTime"] = time.Now().Add(time.Second)
		case mobile:
			draft["expireTime"] = now.Add(6*24*time.Hour + time.Hour)
		case voicePilot:
			draft["expireTime"] = now.AddDate(0, 3, 0)
		}
		keys = append(keys, a.createKey(k.name, draft))
	}
	random := rand.New(rand.NewPCG(14, 11))
	var rows []*logsv1.RequestLog
	for at := now.Add(-29 * 24 * time.Hour); at.Before(now.Add(-2 * time.Minute)); at = at.Add(demoPause(at, now, random)) {
		rows = append(rows, demoRow(at, now, keys, random))
	}
	a.record(append(rows, demoNewest(now, keys)...)...)
	return keys
}

// demoPause is the time until the next call: shorter by day than by night.
func demoPause(at, now time.Time, random *rand.Rand) time.Duration {
	pause := 9 * time.Minute
	if now.Sub(at) < 20*time.Minute {
		pause = 40 * time.Second
	}
	hour := float64(at.Hour()) + float64(at.Minute())/60
	return time.Duration(float64(pause) * (1.6 - math.Sin((hour-7)*math.Pi/12)) * (0.4 + random.Float64()))
}

// demoRow makes one call: most succeed, some are denied, and on one day many fail.
func demoRow(at, now time.Time, keys []key, random *rand.Rand) *logsv1.RequestLog {
	often := []int{voicePilot, globex, nightly, nightly, mobile, mobile, production, production, production, production}
	which := often[random.IntN(len(often))]
	row := demoCall(at, keys, which, 200, "", 20+random.ExpFloat64()*160)
	daysAgo := int(now.Sub(at).Hours() / 24)
	switch chance := random.IntN(100); {
	case daysAgo == 11 && chance < 35:
		row.Status, row.LatencyMs = 503, new(10_000+random.Float64()*40)
	case chance < 3:
		row.Status = 500
	case chance < 8:
		row.Status = 404
	case chance < 10:
		return demoDenied(at, keys, which, 403, "scope_denied")
	case chance < 13:
		return demoDenied(at, keys, noKey, 401, "invalid_token")
	}
	return row
}

// demoNewest are the calls of the last two minutes, with one of each kind.
func demoNewest(now time.Time, keys []key) []*logsv1.RequestLog {
	at := func(seconds float64) time.Time { return now.Add(-time.Duration(seconds * float64(time.Second))) }
	progress := demoCall(at(1.2), keys, production, 0, "", 0)
	progress.LatencyMs = nil
	shared := demoDenied(at(45), keys, noKey, 401, "missing_token")
	shared.CallCount = 57
	denied := demoDenied(at(21), keys, mobile, 403, "scope_denied")
	denied.AgentType, denied.AgentId, denied.Endpoint = "voice_agent", "support-line", "/v1/voice_agents/support-line/calls"
	agent := demoDenied(at(80), keys, globex, 403, "agent_denied")
	agent.AgentId, agent.Endpoint = "billing-support", "/v1/agents/billing-support/messages"
	return []*logsv1.RequestLog{
		progress,
		demoCall(at(2.7), keys, production, 200, "", 182.4),
		demoCall(at(11), keys, nightly, 200, "", 1240),
		demoCall(at(14), keys, production, 200, "", 31),
		denied,
		demoCall(at(33), keys, production, 503, "", 10_004),
		shared,
		demoDenied(at(52), keys, contractor, 401, "disabled"),
		demoCall(at(61), keys, mobile, 200, "", 174),
		demoCall(at(68), keys, globex, 200, "", 211),
		agent,
		demoCall(at(91), keys, nightly, 200, "", 980),
		demoCall(at(98), keys, production, 404, "", 22),
		demoDenied(at(104), keys, oldStaging, 401, "expired"),
		demoDenied(at(113), keys, noKey, 401, "invalid_token"),
	}
}

func demoDenied(at time.Time, keys []key, which int, status int32, code string) *logsv1.RequestLog {
	row := demoCall(at, keys, which, status, code, 3.1+float64(at.Second())/20)
	if code == "missing_token" {
		row.LatencyMs = nil
	}
	return row
}

// demoCall makes a call of one of the keys, or of noKey.
func demoCall(at time.Time, keys []key, which int, status int32, code string, latencyMS float64) *logsv1.RequestLog {
	row := &logsv1.RequestLog{
		Time: timestamppb.New(at), Method: "POST", Status: status, ErrorCode: code, LatencyMs: &latencyMS, CallCount: 1,
	}
	call := demoKeys[production]
	if which != noKey {
		call = demoKeys[which]
		row.KeyId, row.KeyName, row.KeyLast4 = keys[which].id, keys[which].name, keys[which].last4
		row.ExternalId, _ = call.draft["externalId"].(string)
	}
	row.AgentType, row.AgentId, row.Endpoint = call.agentType, call.agentID, call.path
	if call.path == "/v1/agents/support-bot/sessions" {
		row.Endpoint = fmt.Sprintf("%s/%05x/messages", call.path, at.Unix()&0xfffff)
	}
	return row
}
