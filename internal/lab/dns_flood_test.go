package lab

import "testing"

func TestTake(t *testing.T) {
	slots := make(chan struct{}, 2)
	if !take(slots) || !take(slots) {
		t.Fatal("free slots were refused")
	}
	if take(slots) {
		t.Error("a slot was given that is not there")
	}
	<-slots
	if !take(slots) {
		t.Error("a slot that was given back was refused")
	}
}
