module backstitch.test/tls

go 1.21
