"""The outside world behind the ports: devices, engines, the store, systemd. One adapter never knows another."""
