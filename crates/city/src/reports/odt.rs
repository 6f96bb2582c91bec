//! A report as an OpenDocument text (ISO/IEC 26300, version 1.3), to be edited and laid before a council.
//!
//! Owns: the package: `mimetype` first and stored (part 2, §3.3), the manifest, content, styles, meta. Never does: write a sentence.

use std::io::{Cursor, Write};

use quick_xml::escape::escape;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::blocks::Block;
use crate::store::CityError;

const MIME: &str = "application/vnd.oasis.opendocument.text";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMES: &str = "xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
     xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\" xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" \
     xmlns:style=\"urn:oasis:names:tc:opendocument:xmlns:style:1.0\" \
     xmlns:fo=\"urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0\" xmlns:meta=\"urn:oasis:names:tc:opendocument:xmlns:meta:1.0\" \
     xmlns:dc=\"http://purl.org/dc/elements/1.1/\" office:version=\"1.3\"";
const MANIFEST: &str = "<manifest:manifest xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\" manifest:version=\"1.3\">\
     <manifest:file-entry manifest:full-path=\"/\" manifest:version=\"1.3\" manifest:media-type=\"application/vnd.oasis.opendocument.text\"/>\
     <manifest:file-entry manifest:full-path=\"content.xml\" manifest:media-type=\"text/xml\"/>\
     <manifest:file-entry manifest:full-path=\"styles.xml\" manifest:media-type=\"text/xml\"/>\
     <manifest:file-entry manifest:full-path=\"meta.xml\" manifest:media-type=\"text/xml\"/></manifest:manifest>";

/// A text within XML 1.0: characters that it cannot hold are left out.
fn xml(text: &str) -> String {
    let held = |c: &char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    escape(text.chars().filter(held).collect::<String>()).into_owned()
}

/// A text whose lines stay lines.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(xml).collect();
    lines.join("<text:line-break/>")
}

fn paragraph(style: &str, text: &str) -> String {
    format!(
        "<text:p text:style-name=\"{style}\">{}</text:p>",
        lines(text)
    )
}

fn heading(level: u8, text: &str) -> String {
    format!(
        "<text:h text:style-name=\"Heading_20_{level}\" text:outline-level=\"{level}\">{}</text:h>",
        lines(text)
    )
}

fn row(cells: &[String], style: &str) -> String {
    let cells = cells.iter().map(|cell| {
        format!(
            "<table:table-cell table:style-name=\"Cell\" office:value-type=\"string\">{}</table:table-cell>",
            paragraph(style, cell)
        )
    });
    format!(
        "<table:table-row>{}</table:table-row>",
        cells.collect::<String>()
    )
}

fn content(blocks: &[Block]) -> String {
    let mut text = String::new();
    let mut tables = 0;
    for block in blocks {
        text += &match block {
            Block::Title(title) => paragraph("Title", title),
            Block::Heading(title) => heading(1, title),
            Block::Smaller(title) => heading(2, title),
            Block::Text(words) => paragraph("Text_20_body", words),
            Block::Quote {
                words: Some(words),
                about,
            } => paragraph("Quotations", words) + &paragraph("Attribution", about),
            Block::Quote { words: None, about } => paragraph("Attribution", about),
            Block::Table { name, head, rows } => {
                tables += 1;
                let rows: String = rows
                    .iter()
                    .map(|cells| row(cells, "Table_20_Contents"))
                    .collect();
                format!(
                    "{}<table:table table:name=\"Table{tables}\" table:style-name=\"Table\">\
                     <table:table-column table:number-columns-repeated=\"{}\"/>\
                     <table:table-header-rows>{}</table:table-header-rows>{rows}</table:table>",
                    paragraph("Table", name),
                    head.len(),
                    row(head, "Table_20_Heading"),
                )
            }
        };
    }
    format!(
        "{HEAD}<office:document-content {NAMES}><office:automatic-styles>\
         <style:style style:name=\"Table\" style:family=\"table\"/>\
         <style:style style:name=\"Cell\" style:family=\"table-cell\">\
         <style:table-cell-properties fo:padding=\"0.1cm\" fo:border-bottom=\"0.5pt solid #999999\"/></style:style>\
         </office:automatic-styles><office:body><office:text>{text}</office:text></office:body></office:document-content>"
    )
}

fn styles(language: &str) -> String {
    let style = |name: &str, shown: &str, of: &str, paragraph: &str, text: &str| {
        format!(
            "<style:style style:name=\"{name}\" style:display-name=\"{shown}\" style:family=\"paragraph\"{of}>\
             <style:paragraph-properties {paragraph}/><style:text-properties {text}/></style:style>"
        )
    };
    let on = " style:parent-style-name=\"Standard\"";
    let language = xml(language);
    format!(
        "{HEAD}<office:document-styles {NAMES}><office:styles>\
         <style:default-style style:family=\"paragraph\"><style:paragraph-properties fo:margin-bottom=\"0.2cm\"/>\
         <style:text-properties fo:font-family=\"Liberation Sans\" fo:font-size=\"11pt\" fo:language=\"{language}\" fo:country=\"none\"/>\
         </style:default-style>{}</office:styles><office:automatic-styles>\
         <style:page-layout style:name=\"Page\"><style:page-layout-properties fo:page-width=\"21cm\" fo:page-height=\"29.7cm\" \
         fo:margin=\"2.2cm\"/></style:page-layout></office:automatic-styles>\
         <office:master-styles><style:master-page style:name=\"Standard\" style:page-layout-name=\"Page\"/></office:master-styles>\
         </office:document-styles>",
        [
            style(
                "Standard",
                "Standard",
                "",
                "fo:margin-top=\"0cm\"",
                "fo:color=\"#000000\""
            ),
            style(
                "Text_20_body",
                "Text body",
                on,
                "fo:margin-bottom=\"0.25cm\"",
                "fo:font-size=\"11pt\""
            ),
            style(
                "Title",
                "Title",
                on,
                "fo:margin-bottom=\"0.5cm\"",
                "fo:font-size=\"22pt\" fo:font-weight=\"bold\""
            ),
            style(
                "Heading_20_1",
                "Heading 1",
                on,
                "fo:margin-top=\"0.7cm\" fo:keep-with-next=\"always\"",
                "fo:font-size=\"16pt\" fo:font-weight=\"bold\""
            ),
            style(
                "Heading_20_2",
                "Heading 2",
                on,
                "fo:margin-top=\"0.4cm\" fo:keep-with-next=\"always\"",
                "fo:font-size=\"13pt\" fo:font-weight=\"bold\""
            ),
            style(
                "Quotations",
                "Quotations",
                on,
                "fo:margin-left=\"1cm\" fo:margin-right=\"1cm\"",
                "fo:font-style=\"italic\""
            ),
            style(
                "Attribution",
                "Attribution",
                on,
                "fo:margin-left=\"1cm\" fo:margin-bottom=\"0.3cm\"",
                "fo:font-size=\"9pt\" fo:color=\"#555555\""
            ),
            style(
                "Table",
                "Table",
                on,
                "fo:margin-top=\"0.4cm\" fo:keep-with-next=\"always\"",
                "fo:font-weight=\"bold\""
            ),
            style(
                "Table_20_Contents",
                "Table Contents",
                on,
                "fo:margin-bottom=\"0cm\"",
                "fo:font-size=\"10pt\""
            ),
            style(
                "Table_20_Heading",
                "Table Heading",
                on,
                "fo:margin-bottom=\"0cm\"",
                "fo:font-size=\"10pt\" fo:font-weight=\"bold\""
            ),
        ]
        .concat()
    )
}

/// The document.
pub(super) fn of(
    blocks: &[Block],
    title: &str,
    day: &str,
    language: &str,
) -> Result<Vec<u8>, CityError> {
    let meta = format!(
        "{HEAD}<office:document-meta {NAMES}><office:meta><meta:generator>booth-hub</meta:generator><dc:title>{}</dc:title>\
         <dc:language>{}</dc:language><dc:date>{}T00:00:00</dc:date></office:meta></office:document-meta>",
        xml(title),
        xml(language),
        xml(day)
    );
    let files = [
        ("mimetype", MIME.to_owned(), CompressionMethod::Stored),
        ("content.xml", content(blocks), CompressionMethod::Deflated),
        ("styles.xml", styles(language), CompressionMethod::Deflated),
        ("meta.xml", meta, CompressionMethod::Deflated),
        (
            "META-INF/manifest.xml",
            format!("{HEAD}{MANIFEST}"),
            CompressionMethod::Deflated,
        ),
    ];
    let packed = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text, method) in files {
            let options = SimpleFileOptions::default().compression_method(method);
            zip.start_file(name, options)?;
            zip.write_all(text.as_bytes())?;
        }
        Ok(zip.finish()?.into_inner())
    };
    packed().map_err(|why| CityError::Failed(format!("it cannot be packed: {why}")))
}
