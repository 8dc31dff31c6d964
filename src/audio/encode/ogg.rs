//! Opus in Ogg. The only file that writes Ogg pages.

use super::opus::{Container, Packet, Place};
use crate::error::{Error, Result};
use ogg::{PacketWriteEndInfo, PacketWriter};

/// Pages of different streams are told apart by this; there is only one stream.
const SERIAL: u32 = 1;

/// An Ogg file.
pub(super) struct Ogg {
    writer: PacketWriter<'static, Vec<u8>>,
}

impl Default for Ogg {
    fn default() -> Self {
        Self { writer: PacketWriter::new(Vec::new()) }
    }
}

impl Container for Ogg {
    fn begin(&mut self, identification: Vec<u8>, _pre_skip: u64, out: &mut Vec<u8>) -> Result<()> {
        for header in [identification, comment()] {
            self.write(header, PacketWriteEndInfo::EndPage, 0)?;
        }
        out.append(self.writer.inner_mut());
        Ok(())
    }

    fn add(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<()> {
        let end = match packet.place {
            Place::InPage => PacketWriteEndInfo::NormalPacket,
            Place::EndOfPage => PacketWriteEndInfo::EndPage,
            Place::EndOfFile => PacketWriteEndInfo::EndStream,
        };
        self.write(packet.data, end, packet.end)?;
        out.append(self.writer.inner_mut());
        Ok(())
    }
}

impl Ogg {
    fn write(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, position: u64) -> Result<()> {
        self.writer
            .write_packet(packet, SERIAL, end, position)
            .map_err(|error| Error::internal("The Ogg page could not be written.", error))
    }
}

/// The comment header, RFC 7845 section 5.2.
fn comment() -> Vec<u8> {
    let vendor = concat!("mynah ", env!("CARGO_PKG_VERSION"));
    let mut header = b"OpusTags".to_vec();
    header.extend((vendor.len() as u32).to_le_bytes());
    header.extend(vendor.as_bytes());
    header.extend(0_u32.to_le_bytes());
    header
}
