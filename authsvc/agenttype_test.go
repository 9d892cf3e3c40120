package authsvc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAgentTypesHaveNamesAndLabels(t *testing.T) {
	got, err := ParseAgentTypes([]string{"agent", "data_agent", "voice_agent", "robot2=Robot, 2nd = best", "_x__y"})
	if err != nil {
		t.Fatal(err)
	}
	want := append(DefaultAgentTypes, AgentType{"robot2", "Robot, 2nd = best"}, AgentType{"_x__y", "X Y"})
	if diff := cmp.Diff(AgentTypes(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformedAgentTypesSayWhatIsWrong(t *testing.T) {
	for want, items := range map[string][]string{
		"must name at least one": {}, `"Agent" must be 1 to 63`: {"agent", "Agent"}, `"" must be 1 to 63`: {""},
		`"agent" is named twice`: {"agent", "agent=Other"}, `the label "" of "agent"`: {"agent="}, `the label " " of`: {"agent= "},
		`the label "a\nb" of`: {"agent=a\nb"}, "must be 1 to 63": {strings.Repeat("a", 64)}, `the label "" of "__"`: {"__"},
	} {
		if _, err := ParseAgentTypes(items); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", items, err, want)
		}
	}
}
