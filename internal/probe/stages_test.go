package probe

import (
	"errors"
	"testing"
	"time"
)

func TestStagesOfAnAttemptCanBeForgotten(t *testing.T) {
	var s Stages
	s.Add("build", time.Second, nil)
	mark := s.Len()
	s.Add("kernel", time.Second, errors.New("starved"))
	s.Truncate(mark)
	s.Add("kernel", time.Second, nil)
	got := s.Results()
	if len(got) != 2 || got[1].Name != "kernel" || !got[1].OK {
		t.Errorf("stages %+v", got)
	}
}
