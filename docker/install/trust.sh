#!/bin/sh
# Every family: what its package manager trusts, where a bundle is given. Nothing can be fetched yet, so no tool may be missed.
set -eu

bundle=/opt/matrix/ca-bundle.pem
if [ ! -s "$bundle" ]; then exit 0; fi

# Where each family's package manager, or the library below it, looks; what is there stays trusted.
for store in /etc/pki/tls/certs/ca-bundle.crt /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem \
    /var/lib/ca-certificates/ca-bundle.pem /etc/ssl/ca-bundle.pem \
    /etc/ca-certificates/extracted/tls-ca-bundle.pem /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem; do
    if [ -f "$store" ] && ! [ -L "$store" ]; then
        chmod u+w "$store"
        cat "$bundle" >>"$store"
    fi
done

# And where the distribution's own tool keeps what it adds, so that installing ca-certificates does not undo it.
for anchors in /etc/pki/ca-trust/source/anchors /etc/pki/trust/anchors /etc/ca-certificates/trust-source/anchors \
    /usr/local/share/ca-certificates; do
    if [ -d "$anchors" ]; then cp "$bundle" "$anchors/matrix.crt"; fi
done
